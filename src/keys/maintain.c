/*
 * Maintenance.
 *
 * Each task changes at most BATCH keys, within the caller's transaction.  The
 * worker runs each batch of each task in a transaction of its own.  A call of
 * kms_maintain(), from pg_cron for example, runs one batch of all tasks in
 * one.  Rows are locked with SKIP LOCKED, so two rounds at the same time share
 * the work, and neither waits for a session.  Each key is changed in a
 * subtransaction of its own, so a key that cannot be changed does not stop the
 * rest.  It is marked, and retried after the others.
 *
 * The clock of maintenance (keys/clock.h), never the server's, decides what is
 * expired, purged, trimmed or rolled up.  While it is unknown, nothing is.
 *
 * Keys are expired and purged only while there is a master key to authenticate
 * their rows.  A key without its secret is never touched, because a restore
 * may be in progress.  Until an expired key is changed, its row says "active".
 * That does no harm, because expiry is computed from the clock at each use.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/maintain.h"

#include "keys/admit.h"
#include "keys/call.h"
#include "keys/clock.h"
#include "keys/continuity.h"
#include "keys/create.h"
#include "keys/each.h"
#include "keys/field_key.h"
#include "keys/field_rewrap.h"
#include "keys/field_state.h"
#include "keys/pool.h"
#include "keys/purge.h"
#include "keys/rewrap.h"
#include "keys/secret.h"
#include "keys/service_key.h"
#include "keys/sign.h"
#include "keys/transition.h"
#include "pg/settings.h"
#include "shmem/master.h"
#include "shmem/progress.h"
#include "shmem/shared.h"
#include "store/denial_table.h"
#include "store/due.h"
#include "store/health.h"
#include "store/key_lock.h"
#include "store/key_table.h"
#include "store/problem.h"
#include "store/reference.h"
#include "store/retention.h"
#include "store/wrapped.h"

#define BATCH				KMS_SWEEP_MAX	/* keys, or rows of the trail */
#define TRAIL_BATCH			10000
#define POOL_BATCH			4	/* keys, each takes some tenths of a second */

#define PROBLEM_MIN_OPERATIONS	5
#define PROBLEM_HOURS			24

static const char *const task_names[KMS_TASK_COUNT] = {
	[KMS_TASK_POOL] = "fill the pool of keys",
	[KMS_TASK_PEPPER] = "make the pepper",
	[KMS_TASK_FIELDS] = "rotate field keys",
	[KMS_TASK_FOLD] = "seal denials",
	[KMS_TASK_EXPIRE] = "expire keys",
	[KMS_TASK_PROBLEMATIC] = "deprecate problematic keys",
	[KMS_TASK_PURGE] = "purge keys",
	[KMS_TASK_REWRAP] = "wrap keys again",
	[KMS_TASK_TRIM_EVENTS] = "delete old events",
	[KMS_TASK_TRIM_METRICS] = "delete old metrics",
	[KMS_TASK_ROLL_METRICS] = "roll minutes into hours"
};

static void keep_fields(const KmsClock *clock, KmsTaskResult *result);
static void try_fields(List *places, KmsEachTask task, const KmsClock *clock,
					   KmsTaskResult *result);
static void try_field(KmsEachTask task, const char *id,
					  const KmsClock *clock, KmsTaskResult *result);
static KmsOutcome make_right(const char *id, void *arg);
static KmsOutcome rotate_field(const char *id, void *arg);
static KmsOutcome seal_field(const char *id, void *arg);
static void fold(const KmsClock *clock, KmsTaskResult *result);
static KmsOutcome fold_key(const char *key_id, void *arg);
static void expire(const KmsClock *clock, KmsTaskResult *result);
static KmsOutcome expire_key(const char *key_id, void *arg);
static void deprecate_problematic(const KmsClock *clock, KmsTaskResult *result);
static KmsProblemWindow problem_window(const KmsClock *clock);
static KmsOutcome deprecate_problematic_key(const char *key_id, void *arg);
static void rewrap(KmsTaskResult *result);
static void rewrap_audit_keys(KmsTaskResult *result);
static void trim_events(const KmsClock *clock, KmsTaskResult *result);
static void trim_metrics(const KmsClock *clock, KmsTaskResult *result);
static void roll_metrics(const KmsClock *clock, KmsTaskResult *result);
static void make_pepper(KmsTaskResult *result);
static void fill_pool(KmsTaskResult *result);

void
kms_maintain_run(KmsTask task, const KmsClock *clock, bool confirm_purge,
				 KmsTaskResult *result)
{
	memset(result, 0, sizeof(*result));
	result->task = task_names[task];
	kms_progress_phase(result->task, KMS_PROGRESS_UNKNOWN);
	switch (task)
	{
		case KMS_TASK_FIELDS:
			keep_fields(clock, result);
			break;
		case KMS_TASK_FOLD:
			fold(clock, result);
			break;
		case KMS_TASK_EXPIRE:
			expire(clock, result);
			break;
		case KMS_TASK_PROBLEMATIC:
			deprecate_problematic(clock, result);
			break;
		case KMS_TASK_PURGE:
			kms_purge_keys(clock, confirm_purge, result);
			break;
		case KMS_TASK_REWRAP:
			rewrap(result);
			break;
		case KMS_TASK_TRIM_EVENTS:
			trim_events(clock, result);
			break;
		case KMS_TASK_TRIM_METRICS:
			trim_metrics(clock, result);
			break;
		case KMS_TASK_ROLL_METRICS:
			roll_metrics(clock, result);
			break;
		case KMS_TASK_PEPPER:
			make_pepper(result);
			break;
		case KMS_TASK_POOL:
			fill_pool(result);
			break;
	}

	/* COMMIT PREPARED makes events visible without waking the writer */
	if (kms_shared_database() != NULL)
		kms_shared_request(kms_shared_database(), KMS_WRITER);
}

static void
keep_fields(const KmsClock *clock, KmsTaskResult *result)
{
	List	   *due = NIL;
	ListCell   *cell;

	/* rights are granted on each server, so a subscriber needs them, too */
	foreach(cell, kms_field_key_missing_rights())
		try_field(make_right, lfirst(cell), clock, result);
	if (kms_master_generation() == 0 || kms_field_key_table_is_replicated())
		return;
	try_fields(kms_field_key_table_unsealed(BATCH), seal_field, clock, result);
	if (clock->known)
		due = kms_field_key_table_due(clock->due, BATCH);
	try_fields(due, rotate_field, clock, result);
	result->more = list_length(due) == BATCH && result->done > 0;
}

static void
try_fields(List *places, KmsEachTask task, const KmsClock *clock,
		   KmsTaskResult *result)
{
	ListCell   *cell;

	foreach(cell, places)
	{
		const KmsFieldPlace *place = lfirst(cell);

		try_field(task, psprintf("%s/%d", place->name, place->version), clock,
				  result);
	}
}

static void
try_field(KmsEachTask task, const char *id, const KmsClock *clock,
		  KmsTaskResult *result)
{
	if (kms_each_try(task, id, unconstify(KmsClock *, clock)) == KMS_OUTCOME_DONE)
		result->done++;
	else
		result->skipped++;
	kms_progress_add(1);
}

static KmsOutcome
make_right(const char *id, void *arg)
{
	return kms_field_key_make_right(id) ? KMS_OUTCOME_DONE
		: KMS_OUTCOME_NOT_OURS;
}

static KmsOutcome
rotate_field(const char *id, void *arg)
{
	const KmsClock *clock = arg;
	KmsFieldPlace place;

	kms_field_rewrap_place(id, &place);
	return kms_field_key_rotate_due(&place, clock->due) ? KMS_OUTCOME_DONE
		: KMS_OUTCOME_NOT_OURS;
}

static KmsOutcome
seal_field(const char *id, void *arg)
{
	KmsFieldPlace place;

	kms_field_rewrap_place(id, &place);
	return kms_field_state_seal(&place) ? KMS_OUTCOME_DONE
		: KMS_OUTCOME_NOT_OURS;
}

static void
fold(const KmsClock *clock, KmsTaskResult *result)
{
	List	   *ids;

	if (!kms_denial_table_any() || kms_master_generation() == 0 ||
		!kms_key_lock_try_table() || kms_reference_lock("denial") != NULL ||
		!kms_reference_check_now("denial"))
		return;
	if (clock->known)
		(void) kms_denial_table_trim(clock->due, BATCH);
	ids = kms_denial_table_sweep(BATCH);
	result->more = kms_each_key(ids, fold_key, clock, result) &&
		list_length(ids) == BATCH;
}

static KmsOutcome
fold_key(const char *key_id, void *arg)
{
	KmsFault	fault = {0};
	KmsKey		key;
	KmsOutcome	outcome = KMS_OUTCOME_NOT_OURS;

	if (!kms_key_lock_row(key_id, KMS_TRY_LOCK_TO_CHANGE))
		return outcome;
	while (kms_key_table_read(key_id, &key) && key.denial.count > 0)
	{
		if (kms_transition_fold(&key, &fault) != KMS_OK)
			return KMS_OUTCOME_FAILED;
		outcome = KMS_OUTCOME_DONE;
	}
	return outcome;
}

static void
expire(const KmsClock *clock, KmsTaskResult *result)
{
	int			untried;
	List	   *ids;

	if (kms_master_generation() == 0 || !clock->known)
		return;
	ids = kms_due_find(KMS_SWEEP_EXPIRED, clock->due, BATCH, &untried);
	result->more = kms_each_key(ids, expire_key, clock, result) &&
		untried == BATCH;
}

static KmsOutcome
expire_key(const char *key_id, void *arg)
{
	const KmsClock *clock = arg;
	KmsFault	fault = {0};
	KmsKey		key;

	if (!kms_key_lock_row(key_id, KMS_TRY_LOCK_TO_CHANGE) ||
		!kms_key_table_read(key_id, &key) ||
		kms_key_state(&key) != KMS_STATE_ACTIVE ||
		key.row.expires_at > clock->due)
		return KMS_OUTCOME_NOT_OURS;
	return kms_transition_deprecate(&key, "Expired", &fault) == KMS_OK ? KMS_OUTCOME_DONE
		: KMS_OUTCOME_FAILED;
}

static void
deprecate_problematic(const KmsClock *clock, KmsTaskResult *result)
{
	KmsProblemWindow window = problem_window(clock);
	List	   *ids = NIL;
	ListCell   *cell;

	/* without the successes there is no rate */
	if (!kms_deprecate_problematic_keys || kms_master_generation() == 0 ||
		!clock->known || kms_problem_is_unknown(&window))
		return;
	foreach(cell, kms_problem_find(kms_problematic_threshold,
								   PROBLEM_MIN_OPERATIONS, &window, true,
								   BATCH))
	{
		KmsProblem *problem = lfirst(cell);

		ids = lappend(ids, problem->key_id);
	}
	result->more = kms_each_key(ids, deprecate_problematic_key, clock,
								result) &&
		list_length(ids) == BATCH && result->done > 0;
}

static KmsProblemWindow
problem_window(const KmsClock *clock)
{
	KmsProblemWindow window = {0};

	if (!clock->known)
		return window;
	window.since = clock->due - PROBLEM_HOURS * USECS_PER_HOUR;
	window.now = clock->due;
	window.upto = clock->latest;
	return window;
}

static KmsOutcome
deprecate_problematic_key(const char *key_id, void *arg)
{
	KmsProblemWindow window = problem_window(arg);
	KmsFault	fault = {0};
	KmsKey		key;

	if (!kms_key_lock_row(key_id, KMS_TRY_LOCK_TO_CHANGE) ||
		!kms_key_table_read(key_id, &key) ||
		kms_key_state(&key) != KMS_STATE_ACTIVE ||
		kms_problem_recent(key.row.device_id, &window))
		return KMS_OUTCOME_NOT_OURS;
	return kms_transition_deprecate(&key, KMS_PROBLEM_REASON,
									&fault) == KMS_OK ? KMS_OUTCOME_DONE : KMS_OUTCOME_FAILED;
}

/*
 * Wrap keys again, unless that would wait for a lock of the whole table.  Then
 * leave it to the next round.
 */
static void
rewrap(KmsTaskResult *result)
{
	KmsRewrap	rewrapped;
	KmsFault	ignored = {0};

	if (kms_master_generation() == 0 || !kms_key_lock_try_table())
		return;
	kms_rewrap_log_missing();
	if (kms_wrapped_are_replicated())
	{
		rewrap_audit_keys(result);
		return;
	}
	if (!kms_rewrap_automatically)
		return;
	(void) kms_rewrap(BATCH, false, &rewrapped, &ignored);
	result->done = rewrapped.done;
	result->skipped = rewrapped.busy + rewrapped.refused;
	result->more = rewrapped.more && ignored.status == KMS_OK;
}

/* Wrap the audit keys of a subscriber again, because nobody else does. */
static void
rewrap_audit_keys(KmsTaskResult *result)
{
	int			busy;
	int			refused;

	result->done = kms_service_key_rewrap(KMS_AUDIT_KEY, false, &busy,
										  &refused);
	result->skipped = busy + refused;
}

static void
trim_events(const KmsClock *clock, KmsTaskResult *result)
{
	if (!clock->known ||
		kms_reference_lock("event") != NULL ||
		kms_reference_lock("event_quarantine") != NULL ||
		kms_reference_lock("event_checkpoint") != NULL ||
		kms_continuity_is_broken())
		return;
	result->done = kms_sign_retire(TRAIL_BATCH, clock->due, clock->latest,
								   &result->skipped);
	kms_progress_add(result->done);
	result->more = result->done > 0;
}

static void
trim_metrics(const KmsClock *clock, KmsTaskResult *result)
{
	if (!clock->known || kms_reference_lock("metric") != NULL)
		return;
	result->done = kms_retention_purge_metrics(clock->due, TRAIL_BATCH);
	kms_progress_add(result->done);
	result->more = result->done >= TRAIL_BATCH;
}

static void
roll_metrics(const KmsClock *clock, KmsTaskResult *result)
{
	if (!clock->known || kms_reference_lock("metric") != NULL)
		return;
	result->done = kms_retention_roll_metrics(clock->due, BATCH);
	kms_progress_add(result->done);
	result->more = result->done >= BATCH;
}

/* keys/secret.c says why maintenance makes the pepper. */
static void
make_pepper(KmsTaskResult *result)
{
	if (kms_secret_make_first_pepper())
		result->done = 1;
}

/*
 * Fill the pool.  That takes a while, so it is done before anything else is
 * locked.
 */
static void
fill_pool(KmsTaskResult *result)
{
	KmsPoolKey *room;
	KmsKeyPair *key;
	int			missing;

	if (kms_keygen_workers > 0)
	{
		kms_call_wish(KMS_KEYGEN);
		return;
	}
	if (!kms_health_has_database_setting("kms.key_algorithm") ||
		!kms_key_lock_try_table())	/* before the pool's lock, see
									 * store/pool_table.c */
		return;
	missing = kms_pool_missing(false);
	room = palloc(sizeof(KmsPoolKey));
	kms_progress_expect(Min(missing, POOL_BATCH));
	while (result->done < Min(missing, POOL_BATCH) &&
		   kms_create_generate((KmsKeyAlgorithm) kms_key_algorithm, &key) == KMS_OK &&
		   kms_pool_add(room, key) == KMS_OK)
	{
		result->done++;
		kms_progress_add(1);
	}
	pfree(room);
	result->skipped = result->done == 0 ? missing : 0;
	result->more = result->done > 0 && missing > result->done;
}

void
kms_maintain_run_all(bool confirm_purge, bool confirm_clock,
					 KmsTaskResult results[KMS_TASK_COUNT])
{
	KmsClock	clock;
	int			i;

	kms_progress_begin("kms_maintain");
	/* without a master key most tasks do nothing */
	kms_master_await();
	kms_clock_advance(confirm_clock, &clock);
	for (i = 0; i < KMS_TASK_COUNT; i++)
		kms_maintain_run((KmsTask) i, &clock, confirm_purge, &results[i]);
	kms_progress_end();
}
