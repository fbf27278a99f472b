#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/each.h"

#include "pg/subtransaction.h"
#include "shmem/progress.h"
#include "store/due.h"
#include "store/key_lock.h"

/* This many waits for locks, each up to lock_timeout, end a batch. */
#define LOCKED_MAX 3

typedef struct Attempt
{
	KmsEachTask task;
	const char *key_id;
	void	   *arg;
	KmsOutcome	outcome;
} Attempt;

static KmsOutcome mark_tried(const char *key_id, void *arg);
static bool run_task(void *arg);
static bool is_key_fault(int sqlstate);

bool
kms_each_key(List *ids, KmsEachTask task, const void *arg,
			 KmsTaskResult *result)
{
	bool		moved = false;
	int			locked = 0;
	ListCell   *cell;

	kms_progress_expect(list_length(ids) < KMS_SWEEP_MAX ?
						kms_progress_done() + list_length(ids) :
						KMS_PROGRESS_UNKNOWN);
	foreach(cell, ids)
	{
		KmsOutcome	outcome = kms_each_try(task, lfirst(cell), unconstify(void *, arg));

		kms_progress_add(1);

		if (outcome == KMS_OUTCOME_DONE)
			result->done++;
		else
			result->skipped++;
		if (outcome == KMS_OUTCOME_LOCKED && ++locked == LOCKED_MAX)
			return false;
		if (outcome == KMS_OUTCOME_FAILED || outcome == KMS_OUTCOME_LOCKED)
			outcome = kms_each_try(mark_tried, lfirst(cell), NULL);
		if (outcome == KMS_OUTCOME_DONE)
			moved = true;
	}
	return moved;
}

static KmsOutcome
mark_tried(const char *key_id, void *arg)
{
	if (!kms_key_lock_row(key_id, KMS_TRY_LOCK_TO_CHANGE))
		return KMS_OUTCOME_NOT_OURS;
	kms_due_mark_tried(key_id, GetCurrentTimestamp());
	return KMS_OUTCOME_DONE;
}

KmsOutcome
kms_each_try(KmsEachTask task, const char *key_id, void *arg)
{
	Attempt		attempt = {task, key_id, arg, KMS_OUTCOME_FAILED};
	ErrorData  *error;

	CHECK_FOR_INTERRUPTS();
	(void) kms_subtransaction_run(run_task, &attempt, NULL, &error);
	if (error == NULL)
		return attempt.outcome;
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		attempt.outcome = KMS_OUTCOME_LOCKED;
	else if (is_key_fault(error->sqlerrcode))
		attempt.outcome = KMS_OUTCOME_FAILED;
	else
		ReThrowError(error);
	FreeErrorData(error);
	return attempt.outcome;
}

static bool
run_task(void *arg)
{
	Attempt    *attempt = arg;

	attempt->outcome = attempt->task(attempt->key_id, attempt->arg);
	return true;
}

static bool
is_key_fault(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
			return false;
		default:
			return true;
	}
}
