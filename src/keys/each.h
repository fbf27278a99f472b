/*
 * Doing something to each of many keys, where one that cannot be dealt with
 * must not stop the rest.
 */
#ifndef KMS_KEYS_EACH_H
#define KMS_KEYS_EACH_H

#include "nodes/pg_list.h"

typedef enum KmsOutcome
{
	KMS_OUTCOME_DONE,
	KMS_OUTCOME_FAILED,			/* to be tried again, after the others */
	KMS_OUTCOME_NOT_OURS,		/* another has it, or it is not due any more */
	KMS_OUTCOME_LOCKED			/* a lock was not to be had in time */
} KmsOutcome;

typedef KmsOutcome (*KmsEachTask) (const char *key_id, void *arg);

/* What came of a task of maintenance. */
typedef struct KmsTaskResult
{
	const char *task;			/* static */
	int64		done;
	int64		skipped;
	bool		more;			/* there is more of it to do now */
} KmsTaskResult;

/*
 * Run the task for each key and count.  Keys that cannot be dealt with are
 * tried after the others next time.  False if nothing has come of it, so that
 * going on now is of no use.
 */
extern bool kms_each_key(List *ids, KmsEachTask task, const void *arg,
						 KmsTaskResult *result);

/*
 * Run the task for a key in a subtransaction: an error that is the key's own
 * undoes that key's changes only.  A cancel, a full disk and the like go on.
 */
extern KmsOutcome kms_each_try(KmsEachTask task, const char *key_id, void *arg);

#endif							/* KMS_KEYS_EACH_H */
