/*
 * What all processes share in PostgreSQL's shared memory: the launcher, the
 * databases it serves, and counters.  (The master key and the event rings
 * are in mappings of their own: master.h, events.h.)
 */
#ifndef KMS_SHMEM_SHARED_H
#define KMS_SHMEM_SHARED_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#include "pg/settings.h"
#include "shmem/generation.h"

/*
 * Databases that are only looked at, beside the kms.max_databases that are
 * served.
 */
#define KMS_PROBES_MAX	4

#define KMS_BEYOND_MAX	16		/* databases without a place that are named */

#define KMS_ERROR_SIZE		256 /* bytes of a worker's last error */

/*
 * The workers a database can have, by number: the writer, the one for
 * maintenance, and from KMS_KEYGEN on those that generate keys.
 */
typedef enum KmsWorkerKind
{
	KMS_WRITER,
	KMS_MAINTENANCE,
	KMS_KEYGEN
} KmsWorkerKind;

#define KMS_WORKERS (KMS_KEYGEN + KMS_KEYGEN_WORKERS_MAX)

#define KMS_REQUEST_NONE	0
#define KMS_REQUEST_MADE	1

#define KMS_DROP_CLOSED_MS	10000	/* how long a dropped database is closed */

typedef struct KmsWorkerState
{
	pg_atomic_uint32 requested; /* somebody wants it to run; KMS_REQUEST_ */
	int			pid;			/* 0: does not run; under state->lock */
	Latch	   *latch;			/* its, while it runs; under state->lock */
	TimestampTz heartbeat;		/* last good round; under state->lock */
	TimestampTz failed_at;		/* 0: last round was good; under state->lock */
	TimestampTz started_at;		/* by the launcher; under state->lock */
	TimestampTz not_before;		/* launcher's back-off; under state->lock */
	int			failures;		/* in a row; under state->lock */
	bool		hopeless;		/* it will not work by itself; under
								 * state->lock */
	bool		locked_out;		/* the last round ended at a lock; under
								 * state->lock */
	char		last_error[KMS_ERROR_SIZE]; /* under state->lock */
} KmsWorkerState;

typedef struct KmsDatabase
{
	Oid			oid;			/* InvalidOid: free; under state->lock */
	bool		has_extension;	/* seen by a worker; under state->lock */
	bool		probed;			/* a worker has looked; under state->lock */
	bool		handed_over;	/* a writer has done that at this stop of the
								 * server, so none needs to do it again */
	bool		probing;		/* it is only looked at, and has no place
								 * among kms.max_databases; under state->lock */
	TimestampTz maintained_at;	/* 0: never since start; under state->lock */
	TimestampTz closed_until;	/* being dropped, copied, ...: no workers;
								 * under state->lock */
	int			closer;			/* pid of the session that has claimed that;
								 * 0: none; under state->lock */
	int			copiers;		/* sessions that copy it, and have claimed
								 * that together; under state->lock */
	TimestampTz reopened_at;	/* the last claim ended; under state->lock */
	TimestampTz series_at;		/* the first of claims that follow each other
								 * began; 0: the last statement failed; under
								 * state->lock */
	TimestampTz clock;			/* of maintenance, 0: not known since the
								 * start; and the machine's run time then;
								 * under state->lock */
	int64		clock_run_time;
	int64		clock_logged;	/* machine's run time when the log was told
								 * that the clock of maintenance is behind; 0:
								 * not yet; under state->lock */
	KmsWorkerState worker[KMS_WORKERS];

	/* keys for the pool that are being generated; see keys/pool.c */
	pg_atomic_uint32 pool_coming;

	/*
	 * Which ring its sessions should have mapped; changes when one is made.
	 * 0: none has been taken over since the server started.
	 */
	pg_atomic_uint64 ring_generation;
	LWLock		ring_lock;		/* making and taking over the ring file */

	/*
	 * Slots of the ring that calls under way have claimed for their events,
	 * and 1 + the tail at which somebody has waited for the writer in vain:
	 * until it moves, nobody else waits.  0: nobody has.
	 */
	pg_atomic_uint32 ring_claims;
	pg_atomic_uint64 ring_stalled;

	/* events that no ring could take, and how many of them gaps tell of */
	pg_atomic_uint64 unrecorded;
	pg_atomic_uint64 unrecorded_told;
	TimestampTz ring_silent_until;	/* no log line about its file before */

	/*
	 * Since when its writers have found a master key each time; 0: not the
	 * last time.  The writer's.
	 */
	TimestampTz able_since;

	/*
	 * A wish that all recorded so far be written: the caller adds one to
	 * flush_wanted and waits until flush_done has got there, or flush_closed:
	 * a writer that looked after the wish found no extension.
	 */
	pg_atomic_uint64 flush_wanted;
	pg_atomic_uint64 flush_done;
	pg_atomic_uint64 flush_closed;
	ConditionVariable flushed;

	/*
	 * Those who wait for their event to be durable, in two lanes of which one
	 * is open; see wait.c.  "closings" counts how often a writer has found
	 * the extension dropped or about to be.
	 */
	ConditionVariable durable[2];
	pg_atomic_uint32 durable_open;
	pg_atomic_uint32 closings;
} KmsDatabase;

#define KMS_ACCEPTANCE_SIZE 2048	/* bytes of a KmsAcceptance, at most */

/* See acceptance.c; under state->lock. */
typedef struct KmsAcceptanceSlot
{
	int			pid;			/* of who asks; 0: nobody */
	Oid			database;		/* whose writer is asked; InvalidOid: none */
	bool		answered;
	int64		ticket;			/* the answer */
	char		error[KMS_ERROR_SIZE];
	char		wish[KMS_ACCEPTANCE_SIZE];
	ConditionVariable changed;
} KmsAcceptanceSlot;

/* A writer for which a background worker slot is kept; see worker/reserved_writer.c. */
typedef struct KmsReserved
{
	int			pid;			/* 0: does not run; under state->lock */
	Latch	   *latch;			/* its, while it runs; under state->lock */
	Oid			database;		/* what it is to serve until it ends, or
								 * InvalidOid; under state->lock */
	volatile int left_pid;		/* of the last one that ended by its own will;
								 * the postmaster reads it without the lock */
} KmsReserved;

typedef struct KmsShared
{
	LWLock		lock;
	int			tranche;		/* of all locks in here */
	uint64		generation;		/* random; new at each start and crash restart */
	pg_atomic_uint64 ring_generations;	/* the last one given to a database */
	Latch	   *launcher_latch; /* NULL: does not run; under lock */
	int			launcher_pid;	/* under lock */
	bool		launcher_came;	/* since this memory was made; under lock */
	TimestampTz made_at;		/* this memory; constant */

	/* workers that wait until another leaves; of them, writers */
	pg_atomic_uint32 waiting;
	pg_atomic_uint32 writers_waiting;
	pg_atomic_uint32 callers_waiting;	/* for one of these: turns are short */
	pg_atomic_uint32 keygen_waiting;	/* to generate keys */

	/* another worker got no slot: those that generate keys are to leave */
	pg_atomic_uint32 keygen_unwanted;

	pg_atomic_uint32 databases_made;	/* the launcher is to look for new
										 * ones */

	/* on a standby, calls are only counted */
	pg_atomic_uint64 standby_successes;
	pg_atomic_uint64 standby_failures;

	/* events that no ring could take: no disk space for its file, … */
	pg_atomic_uint64 unrecorded;

	/* calls that ended with KM008 */
	pg_atomic_uint64 refused;

	LWLock		attempts_lock;	/* of the log of failed attempts: lockout.c */

	KmsAcceptanceSlot acceptance;
	KmsGeneration generation_queue;

	KmsReserved reserved[KMS_WORKERS_MAX];
	bool		reserved_came;	/* since this memory was made; under lock */

	/* the last writer that had to wait for its turn; under lock */
	TimestampTz turn_at;		/* 0: none had to */
	int64		turn_ms;		/* how long it waited */
	Oid			turn_database;

	/*
	 * Databases that have the extension and no place, the latest first; under
	 * lock.
	 */
	Oid			beyond[KMS_BEYOND_MAX];

	int			slots;			/* constant */
	KmsDatabase databases[FLEXIBLE_ARRAY_MEMBER];
} KmsShared;

/* NULL when the library is not in shared_preload_libraries. */
extern KmsShared *kms_shared;

/* From _PG_init while preloading: hooks for request and start-up. */
extern void kms_shared_install(void);

/*
 * Return this session's database, and give it a place if it does not have one
 * yet.  Return NULL if kms.max_databases have one already, which is noted in
 * state->beyond, or if the library is not preloaded.  Cached: costs nothing
 * after the first call.
 */
extern KmsDatabase *kms_shared_database(void);

/* The same for any database; not cached. */
extern KmsDatabase *kms_shared_enter(Oid database_oid);

/* Return a database that has a slot already, or NULL. */
extern KmsDatabase *kms_shared_find(Oid database_oid);

/*
 * Give a database a slot so that a worker can look at it.  Return NULL if
 * there is none: KMS_PROBES_MAX databases are being looked at.
 */
extern KmsDatabase *kms_shared_probe(Oid database_oid);

/*
 * A worker has found the extension: give the database a place.  False if
 * kms.max_databases have one, which is noted in state->beyond.
 */
extern bool kms_shared_admit(KmsDatabase *database);

/*
 * Ask the launcher for a worker; cheap when it has been asked already.  To be
 * called after what the worker is to see is committed or pushed: a worker
 * that runs makes one more round before it leaves.
 */
extern void kms_shared_request(KmsDatabase *database, int worker);

/* Wake a worker that runs; false if it does not.  Takes no lock. */
extern bool kms_shared_wake(KmsDatabase *database, int worker);

/* Wake the launcher, if it runs. */
extern void kms_shared_wake_launcher(void);

/*
 * Whether a pause that ends at "until" (0: there is none), and was at most
 * "longest_ms" long, lasts.  One that ends later than that from now has been
 * made by a clock that was put back since: it is over.
 */
extern bool kms_shared_pausing(TimestampTz until, long longest_ms);

#endif							/* KMS_SHMEM_SHARED_H */
