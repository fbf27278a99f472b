#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/children.h"

#include "pg/settings.h"
#include "shmem/shared.h"
#include "worker/next_round.h"
#include "worker/reserved_writer.h"
#include "worker/worker.h"

#define NO_SLOT_PAUSE_MS	200 /* pause before the next attempt to register */
#define NO_SLOT_PATIENCE_MS 500 /* time for other workers to release a slot */
#define NO_SLOT_LOG_MS		60000	/* between two log lines about it */
#define KEYGEN_PATIENCE_MS	60000	/* a longer wait is an error */
#define FAILED_WRITER_PAUSE_MS	200

/* The launcher's private record of a worker that it has started. */
typedef struct Child
{
	BackgroundWorkerHandle *handle; /* NULL if not started */
	TimestampTz started_at;
	TimestampTz no_slot_since;	/* 0 if the last attempt found a slot */
	int			reserved_pid;	/* of a reserved writer that serves instead,
								 * or 0 */
	int			reserved;		/* its number */
} Child;

/* Names by kind.  All workers that generate keys are of one kind. */
static const struct
{
	const char *name;
	const char *function;
}			kinds[] = {
	[KMS_WRITER] = {"kms writer", "kms_writer_main"},
	[KMS_MAINTENANCE] = {"kms maintenance", "kms_maintenance_main"},
	[KMS_KEYGEN] = {"kms key generation", "kms_keygen_main"}
};

static Child (*children)[KMS_WORKERS];	/* by slot of kms_shared */
static TimestampTz no_slot_until = 0;	/* end of the pause after no slot was
										 * free */
static TimestampTz no_slot_logged_at = 0;

static void reap_child(int slot, int number, TimestampTz now);
static void note_start(Child *child, KmsWorkerState *state, TimestampTz now);
static void note_no_slot(Child *child, KmsWorkerState *state, int number,
						 TimestampTz now);
static bool is_turn_certain(void);
static void send_keygen_away(void);

void
kms_children_prepare(void)
{
	children = MemoryContextAllocZero(TopMemoryContext,
									  kms_shared->slots * sizeof(*children));
}

void
kms_children_reap(TimestampTz now)
{
	int			slot;
	int			number;

	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		for (number = 0; number < KMS_WORKERS; number++)
			reap_child(slot, number, now);
	}
}

bool
kms_children_is_running(int slot, int number)
{
	Child	   *child = &children[slot][number];
	KmsDatabase *database = &kms_shared->databases[slot];

	return child->handle != NULL || child->reserved_pid != 0 ||
		*(volatile int *) &database->worker[number].pid != 0 ||
		(number == KMS_WRITER && OidIsValid(database->oid) &&
		 kms_reserved_writer_serves(database->oid));
}

bool
kms_children_any_running(int slot)
{
	int			number;

	for (number = 0; number < KMS_WORKERS; number++)
	{
		if (kms_children_is_running(slot, number))
			return true;
	}
	return false;
}

int
kms_children_count(int first, int last)
{
	int			count = 0;
	int			slot;
	int			number;

	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		for (number = first; number <= last; number++)
		{
			if (kms_children_is_running(slot, number))
				count++;
		}
	}
	return count;
}

int
kms_children_count_in_places(void)
{
	int			count = kms_children_count(KMS_WRITER, KMS_MAINTENANCE);
	int			slot;

	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		if (OidIsValid(kms_shared->databases[slot].oid) &&
			kms_reserved_writer_serves(kms_shared->databases[slot].oid))
			count--;
	}
	return count;
}

bool
kms_children_may_register(void)
{
	if (!kms_shared_pausing(no_slot_until, NO_SLOT_PAUSE_MS))
		return true;
	kms_next_round_by(no_slot_until);
	return false;
}

bool
kms_children_start(int slot, int number, Oid database_oid,
				   TimestampTz now)
{
	Child	   *child = &children[slot][number];
	KmsWorkerState *state = &kms_shared->databases[slot].worker[number];
	int			kind = Min(number, KMS_KEYGEN);
	const char *name = kinds[kind].name;
	BackgroundWorker worker;
	KmsWorkerOrder order;
	MemoryContext context;
	bool		registered;

	if (!kms_children_may_register())
		return false;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, "kms", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, kinds[kind].function,
			sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "%s of database %u",
			 name, database_oid);
	strlcpy(worker.bgw_type, name, sizeof(worker.bgw_type));
	memset(&order, 0, sizeof(order));
	order.database_oid = database_oid;
	order.number = number;
	memcpy(worker.bgw_extra, &order, sizeof(order));

	context = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, &child->handle);
	MemoryContextSwitchTo(context);
	if (registered)
	{
		no_slot_until = 0;
		note_start(child, state, now);
		pg_atomic_write_u32(&kms_shared->keygen_unwanted, 0);
		return true;
	}

	child->handle = NULL;
	note_no_slot(child, state, number, now);
	if (no_slot_logged_at == 0 ||
		TimestampDifferenceExceeds(no_slot_logged_at, now, NO_SLOT_LOG_MS))
	{
		no_slot_logged_at = now;
		ereport(LOG,
				(errmsg("kms: no background worker slot is free for the %s of database %u",
						name, database_oid),
				 errhint("Raise max_worker_processes.")));
	}
	return false;
}

bool
kms_children_assign(int slot, Oid database_oid, TimestampTz now)
{
	Child	   *child = &children[slot][KMS_WRITER];
	KmsWorkerState *state = &kms_shared->databases[slot].worker[KMS_WRITER];
	int			pid;
	int			number = kms_reserved_writer_assign(database_oid, &pid);

	if (number < 0)
		return false;
	child->reserved = number;
	child->reserved_pid = pid;
	note_start(child, state, now);
	return true;
}

/*
 * If a worker has ended, free its entry, and set the pause before it is
 * started again if it failed or never worked.
 */
static void
reap_child(int slot, int number, TimestampTz now)
{
	Child	   *child = &children[slot][number];
	KmsWorkerState *state = &kms_shared->databases[slot].worker[number];
	bool		worked = true;
	pid_t		pid;

	if (child->handle != NULL &&
		GetBackgroundWorkerPid(child->handle, &pid) == BGWH_STOPPED)
	{
		pfree(child->handle);
		child->handle = NULL;
	}
	else if (child->reserved_pid != 0 &&
			 kms_reserved_writer_ended(child->reserved, child->reserved_pid))
		child->reserved_pid = 0;
	else
		return;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	if (state->heartbeat < child->started_at &&
		state->failed_at < child->started_at)
	{
		worked = false;
		state->failed_at = now;
		state->failures++;
		strlcpy(state->last_error, "the worker ended before its first round; the server log says why",
				sizeof(state->last_error));
	}
	if (state->failed_at != 0 && state->failures > 0)
	{
		long		pause = kms_worker_backoff(state->failures);

		/* A writer that has worked may have left because others wait. */
		if (number == KMS_WRITER && worked)
			pause = Min(pause, FAILED_WRITER_PAUSE_MS);
		state->not_before = TimestampTzPlusMilliseconds(now, pause);
	}
	LWLockRelease(&kms_shared->lock);
}

static void
note_start(Child *child, KmsWorkerState *state, TimestampTz now)
{
	child->started_at = now;
	child->no_slot_since = 0;
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	state->started_at = now;
	state->hopeless = false;
	LWLockRelease(&kms_shared->lock);
}

/*
 * Record that no background worker slot was free, and set the pause before the
 * next attempt.
 */
static void
note_no_slot(Child *child, KmsWorkerState *state, int number, TimestampTz now)
{
	if (child->no_slot_since == 0 || child->no_slot_since > now)
		child->no_slot_since = now;

	/* Keys can wait for a while, events cannot. */
	if (number < KMS_KEYGEN)
		send_keygen_away();
	if ((number < KMS_KEYGEN && !(number == KMS_WRITER && is_turn_certain())) ||
		TimestampDifferenceExceeds(child->no_slot_since, now, KEYGEN_PATIENCE_MS))
	{
		LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
		state->failed_at = now;
		strlcpy(state->last_error,
				"no background worker slot is free (max_worker_processes)",
				sizeof(state->last_error));
		state->hopeless = TimestampDifferenceExceeds(child->no_slot_since, now,
													 NO_SLOT_PATIENCE_MS);
		LWLockRelease(&kms_shared->lock);
	}
	no_slot_until = TimestampTzPlusMilliseconds(now, NO_SLOT_PAUSE_MS);
	kms_next_round_by(no_slot_until);
}

/*
 * Return true if there are reserved writers: one of them will serve, even if
 * other processes have all slots.
 */
static bool
is_turn_certain(void)
{
	bool		came;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	came = kms_shared->reserved_came;
	LWLockRelease(&kms_shared->lock);
	return came;
}

/*
 * Make the key generation workers leave until a worker is started again,
 * because a writer or maintenance needs a slot.
 */
static void
send_keygen_away(void)
{
	int			slot;
	int			number;

	pg_atomic_write_u32(&kms_shared->keygen_unwanted, 1);
	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		for (number = KMS_KEYGEN; number < KMS_WORKERS; number++)
			(void) kms_shared_wake(&kms_shared->databases[slot], number);
	}
}
