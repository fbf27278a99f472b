/*
 * The state that all processes share in PostgreSQL's shared memory.
 *
 * The memory is initialized at each start and after each crash restart, with a
 * new random generation.  From it, the first session that maps an event ring
 * knows that every earlier producer is dead.
 *
 * state->lock protects the table of databases and the launcher's fields.  The
 * "requested" words, the counters and the ring generations are atomics.  The
 * pid and latch of a worker are written under the lock and may be read without
 * it: a latch is in a PGPROC, which stays, so that at worst a process that has
 * reused the PGPROC wakes for nothing.
 *
 * A session that has just made work, and a worker that leaves, must not miss
 * each other:
 *
 * - The session makes the work visible, executes a full barrier, and reads the
 *   worker's pid.  If that is 0, it asks the launcher for a worker.
 * - The worker sets its pid to 0, executes a full barrier, and looks for work.
 *   If there is any, it asks the launcher for a worker.
 *
 * So at least one of the two sees the other.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "shmem/shared.h"

#include "pg/compat.h"
#include "pg/wait_event.h"

KmsShared  *kms_shared = NULL;

static KmsDatabase *session_database = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void request(void);
static void startup(void);
static void initialize(KmsShared *state);
static Size state_size(void);
static KmsDatabase *find(Oid database_oid);
static int	count_places(void);
static KmsDatabase *take_slot(Oid database_oid);
static bool settle(KmsDatabase *database, Oid database_oid);
static bool is_beyond(Oid database_oid);
static void note_beyond(Oid database_oid, bool beyond);
static void reset_database(KmsDatabase *database, Oid database_oid);

void
kms_shared_install(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup;
}

KmsDatabase *
kms_shared_database(void)
{
	/* The launcher frees the slots of databases that are gone, so check it. */
	if (session_database == NULL || session_database->oid != MyDatabaseId ||
		session_database->probing)
		session_database = OidIsValid(MyDatabaseId) ?
			kms_shared_enter(MyDatabaseId) : NULL;
	return session_database;
}

KmsDatabase *
kms_shared_enter(Oid database_oid)
{
	KmsDatabase *database;
	bool		settled;

	if (kms_shared == NULL)
		return NULL;

	/*
	 * Nothing needs to change if it has a place, or if none is free and that
	 * is noted.
	 */
	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	database = find(database_oid);
	if (database != NULL)
		settled = !database->probing;
	else
		settled = count_places() >= kms_max_databases &&
			is_beyond(database_oid);
	LWLockRelease(&kms_shared->lock);
	if (settled)
		return database;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	database = find(database_oid);
	if (database == NULL && count_places() < kms_max_databases)
		database = take_slot(database_oid);
	if (!settle(database, database_oid))
		database = NULL;
	LWLockRelease(&kms_shared->lock);
	return database;
}

KmsDatabase *
kms_shared_find(Oid database_oid)
{
	KmsDatabase *database;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	database = find(database_oid);
	LWLockRelease(&kms_shared->lock);
	return database;
}

KmsDatabase *
kms_shared_probe(Oid database_oid)
{
	KmsDatabase *database;
	int			probing = 0;
	int			i;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	database = find(database_oid);
	for (i = 0; i < kms_shared->slots; i++)
	{
		if (OidIsValid(kms_shared->databases[i].oid) &&
			kms_shared->databases[i].probing)
			probing++;
	}
	if (database == NULL && probing < KMS_PROBES_MAX)
		database = take_slot(database_oid);
	LWLockRelease(&kms_shared->lock);
	return database;
}

bool
kms_shared_admit(KmsDatabase *database)
{
	bool		admitted = true;

	if (*(volatile bool *) &database->probing)
	{
		LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
		admitted = settle(database, database->oid);
		LWLockRelease(&kms_shared->lock);
	}
	return admitted;
}

void
kms_shared_count(KmsCount count, uint64 number)
{
	KmsDatabase *database = kms_shared_database();

	if (database != NULL)
		kms_counters_add(&database->counters, count, number);
}

void
kms_shared_count_for(KmsDatabase *database, Oid extension_oid)
{
	if (*(volatile Oid *) &database->counted_extension == extension_oid ||
		!OidIsValid(extension_oid))
		return;
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	if (OidIsValid(database->counted_extension) &&
		database->counted_extension != extension_oid)
		kms_counters_reset(&database->counters, GetCurrentTimestamp());
	database->counted_extension = extension_oid;
	LWLockRelease(&kms_shared->lock);
}

void
kms_shared_copy_counters(KmsDatabase *database, KmsCounters *copy)
{
	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	kms_counters_copy(&database->counters, copy);
	LWLockRelease(&kms_shared->lock);
}

void
kms_shared_request(KmsDatabase *database, int worker)
{
	KmsWorkerState *state = &database->worker[worker];
	volatile int *pid = &state->pid;

	pg_memory_barrier();
	if (pg_atomic_read_u32(&state->requested) == KMS_REQUEST_MADE)
		return;
	if (pg_atomic_exchange_u32(&state->requested,
							   KMS_REQUEST_MADE) != KMS_REQUEST_MADE &&
		*pid == 0)
		kms_shared_wake_launcher();
}

bool
kms_shared_wake(KmsDatabase *database, int worker)
{
	Latch	   *latch = *(Latch *volatile *) &database->worker[worker].latch;

	if (latch == NULL)
		return false;
	SetLatch(latch);
	return true;
}

void
kms_shared_wake_launcher(void)
{
	Latch	   *latch = *(Latch *volatile *) &kms_shared->launcher_latch;

	if (latch != NULL)
		SetLatch(latch);
}

bool
kms_shared_pausing(TimestampTz until, long longest_ms)
{
	TimestampTz now = GetCurrentTimestamp();

	return until > now &&
		until <= TimestampTzPlusMilliseconds(now, longest_ms);
}

static void
request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(state_size()));
}

static void
startup(void)
{
	KmsShared  *state;
	bool		found;

	/* This runs again after a crash restart. */
	kms_shared = NULL;
	session_database = NULL;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	state = ShmemInitStruct("kms", state_size(), &found);
	if (!found)
		initialize(state);
	LWLockRelease(AddinShmemInitLock);

	LWLockRegisterTranche(state->tranche, "kms");
	kms_wait_event_name_all();
	kms_shared = state;
	kms_generation_attach(&state->generation_queue);
	kms_progress_attach(&state->progress);
}

static void
initialize(KmsShared *state)
{
	int			i;

	memset(state, 0, state_size());
	state->slots = kms_max_databases + KMS_PROBES_MAX;
	state->tranche = LWLockNewTrancheId();
	LWLockInitialize(&state->lock, state->tranche);
	if (!pg_strong_random(&state->generation, sizeof(state->generation)))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes for kms")));
	if (state->generation == 0)
		state->generation = 1;

	pg_atomic_init_u64(&state->ring_generations, 0);
	pg_atomic_init_u32(&state->waiting, 0);
	pg_atomic_init_u32(&state->writers_waiting, 0);
	pg_atomic_init_u32(&state->callers_waiting, 0);
	pg_atomic_init_u32(&state->keygen_waiting, 0);
	pg_atomic_init_u32(&state->keygen_unwanted, 0);
	pg_atomic_init_u32(&state->databases_made, 0);
	pg_atomic_init_u64(&state->standby_successes, 0);
	pg_atomic_init_u64(&state->standby_failures, 0);
	pg_atomic_init_u64(&state->unrecorded, 0);
	pg_atomic_init_u64(&state->refused, 0);
	pg_atomic_init_u64(&state->wrong_lanes, 0);
	state->made_at = GetCurrentTimestamp();
	LWLockInitialize(&state->attempts_lock, state->tranche);
	ConditionVariableInit(&state->acceptance.changed);
	kms_generation_initialize(&state->generation_queue, state->tranche);
	kms_progress_initialize(&state->progress, state->tranche);

	for (i = 0; i < state->slots; i++)
	{
		KmsDatabase *database = &state->databases[i];
		int			worker;

		for (worker = 0; worker < KMS_WORKERS; worker++)
			pg_atomic_init_u32(&database->worker[worker].requested,
							   KMS_REQUEST_NONE);
		pg_atomic_init_u32(&database->pool_coming, 0);
		pg_atomic_init_u32(&database->pool_empty, 0);
		pg_atomic_init_u64(&database->ring_generation, 0);
		LWLockInitialize(&database->ring_lock, state->tranche);
		pg_atomic_init_u32(&database->ring_claims, 0);
		pg_atomic_init_u64(&database->ring_stalled, 0);
		pg_atomic_init_u64(&database->unrecorded, 0);
		pg_atomic_init_u64(&database->unrecorded_told, 0);
		pg_atomic_init_u64(&database->flush_wanted, 0);
		pg_atomic_init_u64(&database->flush_done, 0);
		pg_atomic_init_u64(&database->flush_closed, 0);
		ConditionVariableInit(&database->flushed);
		ConditionVariableInit(&database->durable[0]);
		ConditionVariableInit(&database->durable[1]);
		pg_atomic_init_u32(&database->durable_open, 0);
		pg_atomic_init_u32(&database->closings, 0);
	}
}

/* Must hold state->lock. */
static KmsDatabase *
find(Oid database_oid)
{
	int			i;

	for (i = 0; i < kms_shared->slots; i++)
	{
		if (kms_shared->databases[i].oid == database_oid)
			return &kms_shared->databases[i];
	}
	return NULL;
}

/* Must hold state->lock. */
static int
count_places(void)
{
	int			count = 0;
	int			i;

	for (i = 0; i < kms_shared->slots; i++)
	{
		if (OidIsValid(kms_shared->databases[i].oid) &&
			!kms_shared->databases[i].probing)
			count++;
	}
	return count;
}

/*
 * Must hold state->lock exclusively.  There are KMS_PROBES_MAX more slots than
 * places, so a slot is free if a place is free or if a database may be probed.
 */
static KmsDatabase *
take_slot(Oid database_oid)
{
	int			i;

	for (i = 0; i < kms_shared->slots; i++)
	{
		if (!OidIsValid(kms_shared->databases[i].oid))
		{
			reset_database(&kms_shared->databases[i], database_oid);
			kms_shared->databases[i].probing = true;
			return &kms_shared->databases[i];
		}
	}
	return NULL;
}

/*
 * Must hold state->lock exclusively.  Give a database that has a slot a place
 * among the served ones, if one is free.  Return true if it has a place.
 * "database" is NULL if it has no slot.
 */
static bool
settle(KmsDatabase *database, Oid database_oid)
{
	if (database != NULL && database->probing &&
		count_places() < kms_max_databases)
		database->probing = false;
	if (database != NULL && !database->probing)
	{
		note_beyond(database_oid, false);
		return true;
	}
	note_beyond(database_oid, true);
	return false;
}

/* Must hold state->lock. */
static bool
is_beyond(Oid database_oid)
{
	int			i;

	for (i = 0; i < KMS_BEYOND_MAX; i++)
	{
		if (kms_shared->beyond[i] == database_oid)
			return true;
	}
	return false;
}

/* Must hold state->lock exclusively. */
static void
note_beyond(Oid database_oid, bool beyond)
{
	Oid		   *oids = kms_shared->beyond;
	int			i;

	for (i = 0; i < KMS_BEYOND_MAX - 1 && oids[i] != database_oid; i++)
		 /* find it, or the oldest */ ;
	if (!beyond && oids[i] != database_oid)
		return;
	if (beyond)
		memmove(&oids[1], &oids[0], i * sizeof(Oid));
	else
		memmove(&oids[i], &oids[i + 1], (KMS_BEYOND_MAX - 1 - i) * sizeof(Oid));
	oids[beyond ? 0 : KMS_BEYOND_MAX - 1] = beyond ? database_oid : InvalidOid;
}

static Size
state_size(void)
{
	return add_size(offsetof(KmsShared, databases),
					mul_size(kms_max_databases + KMS_PROBES_MAX,
							 sizeof(KmsDatabase)));
}

/*
 * Must hold state->lock exclusively.  The lock and the condition variables
 * stay as they are, and so do the flush counts, which only grow.
 */
static void
reset_database(KmsDatabase *database, Oid database_oid)
{
	int			i;

	for (i = 0; i < KMS_WORKERS; i++)
	{
		KmsWorkerState *worker = &database->worker[i];

		pg_atomic_write_u32(&worker->requested, KMS_REQUEST_NONE);
		worker->pid = 0;
		worker->latch = NULL;
		worker->heartbeat = 0;
		worker->failed_at = 0;
		worker->started_at = 0;
		worker->not_before = 0;
		worker->failures = 0;
		worker->hopeless = false;
		worker->last_error[0] = '\0';
	}
	database->has_extension = false;
	database->handed_over = false;
	database->probed = false;
	database->probing = false;
	database->maintained_at = 0;
	database->clock = 0;
	database->clock_run_time = 0;
	database->clock_logged = 0;
	database->closed_until = 0;
	database->closer = 0;
	database->copiers = 0;
	database->reopened_at = 0;
	database->series_at = 0;
	database->ring_silent_until = 0;
	database->renewal_silent_until = 0;
	database->able_since = 0;
	pg_atomic_write_u32(&database->pool_coming, 0);
	pg_atomic_write_u32(&database->pool_empty, 0);
	database->pool_missed = 0;
	database->pool_missed_since = 0;
	database->pool_missed_at = 0;
	pg_atomic_write_u64(&database->ring_generation, 0);
	pg_atomic_write_u32(&database->ring_claims, 0);
	pg_atomic_write_u64(&database->ring_stalled, 0);
	pg_atomic_write_u64(&database->unrecorded_told,
						pg_atomic_read_u64(&database->unrecorded));
	pg_atomic_write_u64(&database->flush_done,
						pg_atomic_read_u64(&database->flush_wanted));
	database->counted_extension = InvalidOid;
	kms_counters_reset(&database->counters, GetCurrentTimestamp());
	database->oid = database_oid;
}
