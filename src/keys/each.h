/*
 * Run a task for each of many keys.  A key that fails must not stop the rest.
 */
#ifndef KMS_KEYS_EACH_H
#define KMS_KEYS_EACH_H

#include "nodes/pg_list.h"

/* The outcome of a task for one key. */
typedef enum KmsOutcome
{
	KMS_OUTCOME_DONE,
	KMS_OUTCOME_FAILED,			/* to be retried after the others */
	KMS_OUTCOME_NOT_OURS,		/* another session has it, or it is no longer
								 * due */
	KMS_OUTCOME_LOCKED			/* a lock was not available in time */
} KmsOutcome;

typedef KmsOutcome (*KmsEachTask) (const char *key_id, void *arg);

/* The result of a task of maintenance. */
typedef struct KmsTaskResult
{
	const char *task;			/* a static string */
	int64		done;
	int64		skipped;
	bool		more;			/* there is more to do now */
} KmsTaskResult;

/*
 * Run the task for each key, and add up the outcomes in *result.  A key that
 * fails is retried after the others next time.  Return false if another batch
 * now would achieve nothing.
 */
extern bool kms_each_key(List *ids, KmsEachTask task, const void *arg,
						 KmsTaskResult *result);

/*
 * Run the task for a key in a subtransaction.  If the key causes an error,
 * only the changes of this key are undone.  A cancel, a full disk and the like
 * are raised again.
 */
extern KmsOutcome kms_each_try(KmsEachTask task, const char *key_id, void *arg);

#endif							/* KMS_KEYS_EACH_H */
