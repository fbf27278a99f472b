/*
 * The state that all processes share in PostgreSQL's shared memory: the
 * launcher, the databases that it serves, and counters.  (The master keys and
 * the event rings are in mappings of their own: master.h, ring_file.h.)
 *
 * "The lock" is kms_shared->lock.
 */
#ifndef KMS_SHMEM_SHARED_H
#define KMS_SHMEM_SHARED_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#include "pg/settings.h"
#include "shmem/counters.h"
#include "shmem/generation.h"
#include "shmem/progress.h"

/*
 * Slots for databases that are only probed, besides the kms.max_databases that
 * are served.
 */
#define KMS_PROBES_MAX	4

#define KMS_BEYOND_MAX	16		/* databases without a place that are listed */

#define KMS_ERROR_SIZE		256 /* bytes of a worker's last error */

/*
 * The workers that a database can have, by number: the writer, maintenance,
 * and from KMS_KEYGEN on the workers that generate keys.
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

#define KMS_DROP_CLOSED_MS	10000	/* how long a dropped database stays
									 * closed */

typedef struct KmsWorkerState
{
	pg_atomic_uint32 requested; /* KMS_REQUEST_MADE: it is wanted */
	int			pid;			/* 0 if it does not run; under the lock */
	Latch	   *latch;			/* latch while it runs; under the lock */
	TimestampTz heartbeat;		/* last good round; under the lock */
	TimestampTz failed_at;		/* 0 after a good round; under the lock */
	TimestampTz started_at;		/* by the launcher; under the lock */
	TimestampTz not_before;		/* launcher's back-off; under the lock */
	int			failures;		/* in a row; under the lock */
	bool		hopeless;		/* an operator has to act; under the lock */
	bool		locked_out;		/* the last round could not get a lock; under
								 * the lock */
	char		last_error[KMS_ERROR_SIZE]; /* under the lock */
} KmsWorkerState;

typedef struct KmsDatabase
{
	Oid			oid;			/* InvalidOid if free; under the lock */
	bool		has_extension;	/* a worker has found it; under the lock */
	bool		probed;			/* a worker has looked; under the lock */
	bool		handed_over;	/* a writer has handed the trail over at this
								 * stop of the server, so none needs to do it
								 * again; under the lock */
	bool		probing;		/* it is only probed, and has no place among
								 * kms.max_databases; under the lock */
	TimestampTz maintained_at;	/* 0 if never since start; under the lock */
	TimestampTz closed_until;	/* being dropped, copied, ...: no workers
								 * until then; under the lock */
	int			closer;			/* pid of the session that has claimed it
								 * alone, or 0; under the lock */
	int			copiers;		/* number of sessions that have claimed it
								 * together to copy it; under the lock */
	TimestampTz reopened_at;	/* end of the last claim; under the lock */
	TimestampTz series_at;		/* begin of the first of claims that follow
								 * each other; 0 if the last statement failed;
								 * under the lock */
	TimestampTz clock;			/* clock of maintenance, 0 if not known since
								 * the start; under the lock */
	int64		clock_run_time;
	int64		clock_logged;	/* machine's run time when it was logged that
								 * the clock of maintenance is behind, 0 if
								 * not yet; under the lock */
	KmsWorkerState worker[KMS_WORKERS];

	/* Keys for the pool that are being generated; see keys/pool.c. */
	pg_atomic_uint32 pool_coming;
	pg_atomic_uint32 pool_empty;	/* 1 if a session has found it empty, and
									 * no key has been added since */

	/*
	 * Keys that sessions had to generate because the pool was empty: how many
	 * since when, and when the last one; under the lock.
	 */
	int64		pool_missed;
	TimestampTz pool_missed_since;
	TimestampTz pool_missed_at;

	/*
	 * The generation of the ring that its sessions should have mapped.
	 * Changes when a ring is made; 0 if none has been taken over since the
	 * server started.
	 */
	pg_atomic_uint64 ring_generation;
	LWLock		ring_lock;		/* for making and taking over the ring file */

	/*
	 * ring_claims: slots of the ring that current calls have claimed for
	 * their events.
	 *
	 * ring_stalled: 1 + the tail at which a caller has waited for the writer
	 * without success, or 0.  Until the tail moves, no other caller waits.
	 */
	pg_atomic_uint32 ring_claims;
	pg_atomic_uint64 ring_stalled;

	/*
	 * Calls whose events could not be put into any ring, and how many of them
	 * gaps report.
	 */
	pg_atomic_uint64 unrecorded;
	pg_atomic_uint64 unrecorded_told;
	TimestampTz ring_silent_until;	/* no log line about its file before */

	TimestampTz renewal_silent_until;	/* no log line about a failed renewal
										 * before */

	/*
	 * Time since which its writers have found a master key each time; 0 if
	 * not the last time.  Only the writer uses it.
	 */
	TimestampTz able_since;

	/*
	 * A flush: the request to write all events that were recorded so far. The
	 * caller increments flush_wanted and waits until flush_done has reached
	 * that number, or flush_closed has: then a writer that looked after the
	 * request has found no extension.
	 */
	pg_atomic_uint64 flush_wanted;
	pg_atomic_uint64 flush_done;
	pg_atomic_uint64 flush_closed;
	ConditionVariable flushed;

	/*
	 * Callers that wait for their events to be durable, in two queues of
	 * which one is open; see docs/design/ring.md.  "closings" counts how
	 * often a writer has found the extension dropped or about to be.
	 */
	ConditionVariable durable[2];
	pg_atomic_uint32 durable_open;
	pg_atomic_uint32 closings;

	/*
	 * The counters that kms.counters shows, and the extension whose calls are
	 * counted, InvalidOid if there was no call yet.  Reset under the lock.
	 */
	Oid			counted_extension;
	KmsCounters counters;
} KmsDatabase;

#define KMS_ACCEPTANCE_SIZE 2048	/* largest size of a KmsAcceptance in
									 * bytes */

/* A request and its answer; see acceptance.c.  Under the lock. */
typedef struct KmsAcceptanceSlot
{
	int			pid;			/* of the process that asks, or 0 */
	Oid			database;		/* database of the writer that is asked, or
								 * InvalidOid */
	bool		answered;
	int64		ticket;			/* answer: ticket of the gap */
	char		error[KMS_ERROR_SIZE];
	char		wish[KMS_ACCEPTANCE_SIZE];
	ConditionVariable changed;
} KmsAcceptanceSlot;

/*
 * A writer for which a background worker slot is kept; see
 * worker/reserved_writer.c.
 */
typedef struct KmsReserved
{
	int			pid;			/* 0 if it does not run; under the lock */
	Latch	   *latch;			/* its, while it runs; under the lock */
	Oid			database;		/* the database that it serves until it ends,
								 * or InvalidOid; under the lock */
	volatile int left_pid;		/* pid of the last one that ended by its own
								 * decision; the postmaster reads it without
								 * the lock */
} KmsReserved;

typedef struct KmsShared
{
	LWLock		lock;
	int			tranche;		/* of all locks in here */
	uint64		generation;		/* random, new after each (crash) restart */
	pg_atomic_uint64 ring_generations;	/* last value given to a database */
	Latch	   *launcher_latch; /* NULL if none runs; under the lock */
	int			launcher_pid;	/* under the lock */
	bool		launcher_came;	/* in this memory; under the lock */
	TimestampTz made_at;		/* when this memory was made; constant */

	/*
	 * How many workers wait until another one leaves, and how many of them
	 * are writers.
	 */
	pg_atomic_uint32 waiting;
	pg_atomic_uint32 writers_waiting;
	pg_atomic_uint32 callers_waiting;	/* with callers that wait for these
										 * writers: turns are short */
	pg_atomic_uint32 keygen_waiting;	/* to generate keys */

	/* Another worker got no slot, so workers that generate keys must leave. */
	pg_atomic_uint32 keygen_unwanted;

	pg_atomic_uint32 databases_made;	/* 1 if the launcher must look for new
										 * databases */

	/* On a standby, calls are only counted. */
	pg_atomic_uint64 standby_successes;
	pg_atomic_uint64 standby_failures;

	/*
	 * Events that could not be put into any ring, for example because the
	 * disk is full.
	 */
	pg_atomic_uint64 unrecorded;

	/* Calls that ended with KM008. */
	pg_atomic_uint64 refused;

	/* Wrong results of multi-buffer RSA. */
	pg_atomic_uint64 wrong_lanes;

	LWLock		attempts_lock;	/* for the log of failed attempts: lockout.c */

	KmsAcceptanceSlot acceptance;
	KmsGeneration generation_queue;
	KmsProgress progress;

	KmsReserved reserved[KMS_WORKERS_MAX];
	bool		reserved_came;	/* in this memory; under the lock */

	/* The last writer that had to wait for its turn; under lock. */
	TimestampTz turn_at;		/* 0 if none had to wait */
	int64		turn_ms;		/* duration of the wait */
	Oid			turn_database;

	/*
	 * Databases that have the extension but no place, the latest first; under
	 * lock.
	 */
	Oid			beyond[KMS_BEYOND_MAX];

	int			slots;			/* constant */
	KmsDatabase databases[FLEXIBLE_ARRAY_MEMBER];
} KmsShared;

/* NULL if the library is not in shared_preload_libraries. */
extern KmsShared *kms_shared;

/*
 * Install the hooks for request and start-up.  Call it from _PG_init while
 * preloading.
 */
extern void kms_shared_install(void);

/*
 * Return this session's database, and give it a place if it does not have one
 * yet.  Return NULL if the library is not preloaded, or if kms.max_databases
 * other databases have places; the latter is noted in state->beyond.  Cached:
 * costs nothing after the first call.
 */
extern KmsDatabase *kms_shared_database(void);

/* The same for any database; not cached. */
extern KmsDatabase *kms_shared_enter(Oid database_oid);

/* Return a database that has a slot already, or NULL. */
extern KmsDatabase *kms_shared_find(Oid database_oid);

/*
 * Give a database a slot so that a worker can probe it.  Return NULL if
 * KMS_PROBES_MAX databases are being probed already.
 */
extern KmsDatabase *kms_shared_probe(Oid database_oid);

/*
 * Give a database a place, because a worker has found the extension in it.
 * Return false if kms.max_databases have places, which is noted in
 * state->beyond.
 */
extern bool kms_shared_admit(KmsDatabase *database);

/*
 * Add to a counter of this session's database.  Do nothing if it has no place.
 */
extern void kms_shared_count(KmsCount count, uint64 number);

/*
 * Count calls of this extension.  If the database had another one, its
 * counters start again.  Cheap if nothing has changed.
 */
extern void kms_shared_count_for(KmsDatabase *database, Oid extension_oid);

/* Copy the counters of a database. */
extern void kms_shared_copy_counters(KmsDatabase *database, KmsCounters *copy);

/*
 * Ask the launcher for a worker; cheap if that has been done already.  Call it
 * after the work for the worker has been committed or pushed: a worker that is
 * running makes one more round before it leaves.
 */
extern void kms_shared_request(KmsDatabase *database, int worker);

/*
 * Wake a running worker.  Return false if it is not running.  Takes no lock.
 */
extern bool kms_shared_wake(KmsDatabase *database, int worker);

/* Wake the launcher if it is running. */
extern void kms_shared_wake_launcher(void);

/*
 * Return true if a pause that ends at "until" (0 if there is none) and was at
 * most "longest_ms" long has not ended.  If the end is further away than that,
 * the clock was set back since, and the pause counts as over.
 */
extern bool kms_shared_pausing(TimestampTz until, long longest_ms);

#endif							/* KMS_SHMEM_SHARED_H */
