/*
 * The choice of the workers that are started next.
 *
 * A worker is started if it was requested (kms_shared_request) or if
 * maintenance is due.  Writers and maintenance workers together never number
 * more than kms.max_workers, key generation workers never more than
 * kms.keygen_workers.  docs/design/workers.md says how they share these
 * places, and how the databases take turns.
 *
 * If the workers of a database keep failing, they are started again after a
 * pause that grows to half a minute.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/schedule.h"

#include "pg/settings.h"
#include "shmem/shared.h"
#include "worker/children.h"
#include "worker/databases.h"
#include "worker/next_round.h"
#include "worker/reserved_writer.h"
#include "worker/worker.h"

/* A worker that may have to be started, as seen under the lock. */
typedef struct Candidate
{
	Oid			oid;
	bool		wanted;
	TimestampTz due;
} Candidate;

typedef enum Outcome
{
	NOT_WANTED,
	STARTED,
	ASSIGNED,					/* to a reserved writer */
	WAITS						/* for a place */
} Outcome;

static int	next_slot[KMS_WORKERS]; /* slot to begin with, by number */
static int	last_started;		/* KMS_WRITER or KMS_MAINTENANCE */
static TimestampTz (*waiting_since)[KMS_WORKERS];	/* by slot; 0 if the
													 * worker does not wait */
static int	callers_waiting;	/* number of databases whose callers wait for
								 * a writer */

static void start_keygen(TimestampTz now);
static int	keygen_places(void);
static bool start_urgent(TimestampTz now);
static bool is_due(int number, TimestampTz now);
static int	start_number(int number, int most, TimestampTz now);
static Outcome start_slot(int slot, int number, bool may_start, TimestampTz now);
static void look_at(int slot, int number, TimestampTz now,
					Candidate *candidate);
static TimestampTz maintenance_due(const KmsDatabase *database,
								   TimestampTz now);
static bool has_callers(int slot);
static void end_turn_wait(int slot, int number, TimestampTz now);
static void wake_writers(void);

void
kms_schedule_prepare(void)
{
	waiting_since = MemoryContextAllocZero(TopMemoryContext,
										   kms_shared->slots *
										   sizeof(*waiting_since));
}

/*
 * Writers come first, except that one place is kept for maintenance if it is
 * due and none runs.  Maintenance leaves one place to writers.  The reserved
 * writers have places of their own, and maintenance has one even if no others
 * are left.
 */
void
kms_schedule_start_workers(TimestampTz now)
{
	int			reserved = Min(kms_reserved_writer_count(), kms_max_workers);
	int			places = kms_max_workers - reserved;
	int			most = reserved > 0 ? Max(1, places) : Max(1, places - 1);
	int			maintenance = kms_children_count(KMS_MAINTENANCE,
												 KMS_MAINTENANCE);
	int			kept = 0;
	int			writers;
	int			waiting;

	if (maintenance == 0 && is_due(KMS_MAINTENANCE, now) &&
		(kms_max_workers > 1 || reserved > 0 || last_started == KMS_WRITER))
		kept = 1;
	callers_waiting = 0;
	writers = start_number(KMS_WRITER,
						   places - kms_children_count_in_places() - kept, now);
	waiting = start_number(KMS_MAINTENANCE,
						   Min(Max(places, Min(1, reserved)) -
							   kms_children_count_in_places(),
							   most - maintenance), now);
	pg_atomic_write_u32(&kms_shared->writers_waiting, writers);
	pg_atomic_write_u32(&kms_shared->waiting, writers + waiting);
	pg_atomic_write_u32(&kms_shared->callers_waiting, callers_waiting);
	if (callers_waiting > 0)
		wake_writers();
	start_keygen(now);
}

/*
 * Start the first worker of each database before the second of any.  Databases
 * take turns, and every second turn is that of one whose pool is empty.
 */
static void
start_keygen(TimestampTz now)
{
	static bool urgent = false; /* the last turn was that of an empty pool */
	int			waiting = 0;
	int			places;
	int			number;

	if (!urgent && keygen_places() > 0)
		urgent = start_urgent(now);
	places = keygen_places();
	for (number = KMS_KEYGEN; number < KMS_WORKERS; number++)
		waiting += start_number(number, keygen_places(), now);
	if (keygen_places() < places)
		urgent = false;
	pg_atomic_write_u32(&kms_shared->keygen_waiting, waiting);
}

static int
keygen_places(void)
{
	return kms_keygen_workers -
		kms_children_count(KMS_KEYGEN, KMS_WORKERS - 1);
}

/* Start a worker for a database that a session has found without a key. */
static bool
start_urgent(TimestampTz now)
{
	static int	next = 0;
	int			i;

	for (i = 0; i < kms_shared->slots; i++)
	{
		int			slot = (next + i) % kms_shared->slots;

		if (pg_atomic_read_u32(&kms_shared->databases[slot].pool_empty) != 0 &&
			start_slot(slot, KMS_KEYGEN, true, now) == STARTED)
		{
			next = (slot + 1) % kms_shared->slots;
			return true;
		}
	}
	return false;
}

/* Return true if any database waits for its worker of this number. */
static bool
is_due(int number, TimestampTz now)
{
	int			slot;

	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		Candidate	candidate;

		look_at(slot, number, now, &candidate);
		if (candidate.wanted && candidate.due <= now)
			return true;
	}
	return false;
}

/*
 * Start at most "most" workers of this number.  Return how many have to wait.
 */
static int
start_number(int number, int most, TimestampTz now)
{
	int			first = next_slot[number];
	int			waiting = 0;
	int			i;

	for (i = 0; i < kms_shared->slots; i++)
	{
		int			slot = (first + i) % kms_shared->slots;
		Outcome		outcome = start_slot(slot, number, most > 0, now);

		if (outcome == STARTED || outcome == ASSIGNED)
			next_slot[number] = (slot + 1) % kms_shared->slots;
		if (outcome == STARTED)
			most--;
		if (outcome == WAITS)
		{
			waiting++;
			if (number == KMS_WRITER && has_callers(slot))
				callers_waiting++;
		}
	}
	return waiting;
}

/* Start the worker of this number for a database, if it is wanted. */
static Outcome
start_slot(int slot, int number, bool may_start, TimestampTz now)
{
	TimestampTz *since = &waiting_since[slot][number];
	bool		reserved = number == KMS_WRITER && kms_reserved_writer_waits();
	Candidate	candidate;
	Outcome		outcome = WAITS;

	look_at(slot, number, now, &candidate);
	if (!candidate.wanted || candidate.due > now)
	{
		if (candidate.wanted)
			kms_next_round_by(candidate.due);
		*since = 0;
		return NOT_WANTED;
	}
	if ((reserved || (may_start && kms_children_may_register())) &&
		!kms_databases_is_open(slot, number, now))
		return NOT_WANTED;

	if (reserved && kms_children_assign(slot, candidate.oid, now))
		outcome = ASSIGNED;
	else if (may_start && kms_children_start(slot, number, candidate.oid, now))
		outcome = STARTED;
	if (outcome != WAITS)
		end_turn_wait(slot, number, now);
	else if (*since == 0 || *since > now)
		*since = now;
	if (outcome == STARTED && number < KMS_KEYGEN)
		last_started = number;
	return outcome;
}

/* Find out whether a worker has to be started, and when. */
static void
look_at(int slot, int number, TimestampTz now, Candidate *candidate)
{
	KmsDatabase *database = &kms_shared->databases[slot];
	KmsWorkerState *state = &database->worker[number];
	uint32		requested = pg_atomic_read_u32(&state->requested);

	memset(candidate, 0, sizeof(*candidate));
	if (!OidIsValid(database->oid) || kms_children_is_running(slot, number) ||
		number >= KMS_KEYGEN + kms_keygen_workers)
		return;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	candidate->oid = database->oid;
	if (requested != KMS_REQUEST_NONE)
	{
		candidate->wanted = true;
		candidate->due = 0;
	}
	else if (number == KMS_MAINTENANCE && kms_maintenance &&
			 database->has_extension)
	{
		candidate->wanted = true;
		candidate->due = maintenance_due(database, now);
	}
	if (kms_shared_pausing(state->not_before, KMS_WORKER_BACKOFF_MS))
		candidate->due = Max(candidate->due, state->not_before);
	if (kms_shared_pausing(database->closed_until, KMS_DROP_CLOSED_MS))
		candidate->due = Max(candidate->due, database->closed_until);
	LWLockRelease(&kms_shared->lock);
}

/* Must hold kms_shared->lock. */
static TimestampTz
maintenance_due(const KmsDatabase *database, TimestampTz now)
{
	TimestampTz due;

	if (database->maintained_at == 0)
		return 0;
	due = TimestampTzPlusMilliseconds(database->maintained_at,
									  (int64) kms_maintenance_interval * 1000);

	/* If the clock was set back, maintenance is due now. */
	if (database->maintained_at > now)
		return 0;
	return due;
}

/* Return true if calls wait for the writer of the database. */
static bool
has_callers(int slot)
{
	KmsDatabase *database = &kms_shared->databases[slot];

	return kms_audit == KMS_AUDIT_REQUIRED ||
		pg_atomic_read_u64(&database->flush_wanted) !=
		pg_atomic_read_u64(&database->flush_done);
}

/* Note how long a worker that has been started had to wait. */
static void
end_turn_wait(int slot, int number, TimestampTz now)
{
	TimestampTz *since = &waiting_since[slot][number];

	if (number == KMS_WRITER && *since != 0 &&
		now - *since >= 1000)
	{
		LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
		kms_shared->turn_at = now;
		kms_shared->turn_ms = (now - *since) / 1000;
		kms_shared->turn_database = kms_shared->databases[slot].oid;
		LWLockRelease(&kms_shared->lock);
	}
	*since = 0;
}

/* Wake all writers: an idle writer leaves if others wait. */
static void
wake_writers(void)
{
	int			slot;

	for (slot = 0; slot < kms_shared->slots; slot++)
		(void) kms_shared_wake(&kms_shared->databases[slot], KMS_WRITER);
}
