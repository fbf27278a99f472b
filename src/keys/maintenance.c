/*
 * Maintenance.
 *
 * Each task takes at most BATCH keys and stays within the caller's
 * transaction, so the worker commits as it goes and pg_cron commits a batch a
 * call.  Rows are taken with SKIP LOCKED: two rounds at once share the work,
 * and neither waits for a session.  Each key is changed in a subtransaction
 * of its own, so one that cannot be changed never stops the rest.
 *
 * Expiry needs the master key, for the row is sealed again; while it is
 * missing expired keys stay "active" in the table, which harms nothing, for
 * expiry is computed from the clock at each use.
 *
 * The purge has a breaker: within a day it deletes no more than 5 % of the
 * keys there were at the day's begin, or 1,000 if that is more.  If more are
 * due, nothing is deleted until an operator confirms; the state is one row,
 * locked by whoever purges.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "keys/call.h"
#include "keys/key.h"
#include "keys/maintenance.h"
#include "keys/state.h"
#include "pg/settings.h"
#include "shmem/master.h"
#include "shmem/state.h"
#include "store/problem.h"
#include "store/purge.h"
#include "store/trail.h"

#define BATCH				1000	/* keys, or rows of the trail */
#define TRAIL_BATCH			10000
#define PURGE_FLOOR			1000	/* keys a day that need no confirmation */
#define PURGE_SHARE			20	/* one in … keys a day neither */
#define PURGE_COUNT_LIMIT	1000000

#define PROBLEM_MIN_OPERATIONS	5
#define PROBLEM_HOURS			24

/* True if the key was dealt with; an error counts as false. */
typedef bool (*KeyTask) (const char *key_id);

static void expire(KmsTaskResult *result);
static void deprecate_problematic(KmsTaskResult *result);
static void purge(bool confirm, KmsTaskResult *result);
static int64 purge_allowance(KmsPurgeState *state, bool confirm,
							 TimestampTz now);
static void trim_events(KmsTaskResult *result);
static void trim_metrics(KmsTaskResult *result);
static void roll_metrics(KmsTaskResult *result);
static void for_each_key(List *ids, KeyTask task, KmsTaskResult *result);
static bool mark_tried(const char *key_id);
static bool in_subtransaction(KeyTask task, const char *key_id);
static bool expire_key(const char *key_id);
static bool deprecate_problematic_key(const char *key_id);
static bool purge_key(const char *key_id);

void
kms_maintenance_run(bool confirm_purge, KmsTaskResult results[KMS_TASK_COUNT])
{
	memset(results, 0, KMS_TASK_COUNT * sizeof(results[0]));
	expire(&results[0]);
	deprecate_problematic(&results[1]);
	purge(confirm_purge, &results[2]);
	trim_events(&results[3]);
	trim_metrics(&results[4]);
	roll_metrics(&results[5]);

	/* what COMMIT PREPARED made visible has told nobody */
	if (kms_state_database() != NULL)
		kms_state_request(kms_state_database(), KMS_WRITER);
}

bool
kms_maintenance_batch(void)
{
	KmsTaskResult results[KMS_TASK_COUNT];
	int			i;

	kms_call_require_service();
	kms_maintenance_run(false, results);
	for (i = 0; i < KMS_TASK_COUNT; i++)
	{
		if (results[i].more)
			return true;
	}
	return false;
}

static void
expire(KmsTaskResult *result)
{
	TimestampTz now = GetCurrentTimestamp();
	int			untried;
	List	   *ids;

	result->task = "expire keys";
	if (kms_master_generation() == 0)
		return;
	ids = kms_key_sweep(KMS_SWEEP_EXPIRED, now, BATCH, &untried);
	for_each_key(ids, expire_key, result);
	result->more = untried == BATCH;
}

/* Those that cannot be dealt with are put behind the others. */
static void
for_each_key(List *ids, KeyTask task, KmsTaskResult *result)
{
	ListCell   *cell;

	foreach(cell, ids)
	{
		if (in_subtransaction(task, lfirst(cell)))
			result->done++;
		else
		{
			in_subtransaction(mark_tried, lfirst(cell));
			result->skipped++;
		}
	}
}

/* Not if another has the row: it is being dealt with. */
static bool
mark_tried(const char *key_id)
{
	if (!kms_key_try_lock(key_id))
		return false;
	kms_key_mark_tried(key_id, GetCurrentTimestamp());
	return true;
}

static bool
expire_key(const char *key_id)
{
	KmsFault	fault = {0};
	KmsKeyRow	row;

	return kms_key_try_lock(key_id) && kms_key_read(key_id, &row) &&
		row.state == KMS_STATE_ACTIVE &&
		row.expires_at <= GetCurrentTimestamp() &&
		kms_key_change_state(&row, KMS_STATE_DEPRECATED, "Expired",
							 &fault) == KMS_OK;
}

static void
deprecate_problematic(KmsTaskResult *result)
{
	List	   *problems;
	ListCell   *cell;

	result->task = "deprecate problematic keys";
	if (!kms_deprecate_problematic_keys || kms_master_generation() == 0)
		return;
	problems = kms_problem_find(kms_problematic_threshold,
								PROBLEM_MIN_OPERATIONS, PROBLEM_HOURS, true,
								BATCH);
	foreach(cell, problems)
	{
		KmsProblem *problem = lfirst(cell);

		if (in_subtransaction(deprecate_problematic_key, problem->key_id))
			result->done++;
		else
			result->skipped++;
	}
	result->more = list_length(problems) == BATCH && result->done > 0;
}

static bool
deprecate_problematic_key(const char *key_id)
{
	KmsFault	fault = {0};
	KmsKeyRow	row;

	return kms_key_try_lock(key_id) && kms_key_read(key_id, &row) &&
		row.state == KMS_STATE_ACTIVE &&
		!kms_problem_recent(row.device_id) &&
		kms_key_change_state(&row, KMS_STATE_DEPRECATED, KMS_PROBLEM_REASON,
							 &fault) == KMS_OK;
}

static void
purge(bool confirm, KmsTaskResult *result)
{
	TimestampTz now = GetCurrentTimestamp();
	KmsPurgeState state;
	List	   *ids;
	int64		due;
	int64		allowed;
	int			untried;

	result->task = "purge keys";
	if (!kms_purge_lock(&state))
	{
		result->more = true;
		return;
	}
	allowed = purge_allowance(&state, confirm, now);
	due = kms_key_purge_count(now, PURGE_COUNT_LIMIT);
	if (due > allowed)
	{
		if (state.blocked_at == 0)
			state.blocked_at = now;
		state.waiting = due;
		result->skipped = due;
		kms_purge_save(&state);
		return;
	}
	state.blocked_at = 0;
	state.waiting = 0;

	ids = kms_key_sweep(KMS_SWEEP_PURGE, now, BATCH, &untried);
	if (ids != NIL)
		kms_key_check_references_now();
	for_each_key(ids, purge_key, result);
	state.purged += result->done;
	result->more = untried == BATCH;
	kms_purge_save(&state);
}

/* How many more keys may go now; begins a new day when it is time. */
static int64
purge_allowance(KmsPurgeState *state, bool confirm, TimestampTz now)
{
	if (confirm)
		state->confirmed_until = now + USECS_PER_DAY;
	if (state->window_start == 0 || now < state->window_start ||
		now >= state->window_start + USECS_PER_DAY)
	{
		state->window_start = now;
		state->window_keys = kms_key_count();
		state->purged = 0;
	}
	if (state->confirmed_until > now &&
		state->confirmed_until <= now + USECS_PER_DAY)
		return PG_INT64_MAX;
	return Max(PURGE_FLOOR, state->window_keys / PURGE_SHARE) - state->purged;
}

/*
 * A row that is not authentic may have been given its dates by anyone, so it
 * is kept for the operator; one that cannot be judged, as its master key is
 * gone, is purged all the same.
 */
static bool
purge_key(const char *key_id)
{
	TimestampTz now = GetCurrentTimestamp();
	KmsFault	fault = {0};
	KmsKeyRow	row;
	KmsKeySecret *secret;
	KmsSecretDigests digests;

	if (!kms_key_try_lock(key_id) || !kms_key_read(key_id, &row))
		return false;
	secret = palloc(sizeof(KmsKeySecret));
	if (kms_master_generation() != 0 &&
		kms_key_authenticate(&row, secret, &digests, &fault) == KMS_NOT_AUTHENTIC)
		return false;
	if (row.state == KMS_STATE_PENDING_DELETION)
	{
		if (!row.has_delete_at || row.delete_at > now)
			return false;
	}
	else if ((row.state != KMS_STATE_DEPRECATED &&
			  row.state != KMS_STATE_REVOKED &&
			  row.state != KMS_STATE_ACTIVE) ||
			 row.expires_at > now - kms_key_retention * USECS_PER_SEC)
		return false;
	if (!kms_key_delete(&row))
		return false;
	kms_call_record_change(KMS_OP_PURGE, row.key_id, row.device_id, NULL);
	return true;
}

static void
trim_events(KmsTaskResult *result)
{
	result->task = "delete old events";
	result->done = kms_trail_purge_events(TRAIL_BATCH);
	result->more = result->done >= TRAIL_BATCH;
}

static void
trim_metrics(KmsTaskResult *result)
{
	result->task = "delete old metrics";
	result->done = kms_trail_purge_metrics(TRAIL_BATCH);
	result->more = result->done >= TRAIL_BATCH;
}

static void
roll_metrics(KmsTaskResult *result)
{
	result->task = "roll minutes into hours";
	result->done = kms_trail_roll_metrics(BATCH);
	result->more = result->done >= BATCH;
}

/*
 * Runs the task for a key; what it raises undoes that key's changes only.
 * Cancels and the like are not the key's fault and go on.
 */
static bool
in_subtransaction(KeyTask task, const char *key_id)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool done = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		done = task(key_id);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		done = false;
		if (error->sqlerrcode != ERRCODE_FOREIGN_KEY_VIOLATION &&
			error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
			error->sqlerrcode != ERRCODE_T_R_SERIALIZATION_FAILURE &&
			error->sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED)
		{
			MemoryContextSwitchTo(context);
			CurrentResourceOwner = owner;
			ReThrowError(error);
		}
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return done;
}
