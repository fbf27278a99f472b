/*
 * Maintenance: bounded batches that expire and purge keys and trim the trail.
 */
#ifndef KMS_KEYS_MAINTAIN_H
#define KMS_KEYS_MAINTAIN_H

#include "keys/clock.h"
#include "keys/each.h"

typedef enum KmsTask
{
	KMS_TASK_POOL,				/* first, before anything is locked */
	KMS_TASK_PEPPER,			/* then this, for callers wait for it */
	KMS_TASK_FOLD,				/* what was denied comes into the rows */
	KMS_TASK_EXPIRE,
	KMS_TASK_PROBLEMATIC,
	KMS_TASK_PURGE,
	KMS_TASK_REWRAP,			/* if kms.rewrap_automatically is on */
	KMS_TASK_TRIM_EVENTS,
	KMS_TASK_TRIM_METRICS,
	KMS_TASK_ROLL_METRICS
} KmsTask;

#define KMS_TASK_COUNT 10

/*
 * One batch of a task in the current transaction, safe to run twice at once.
 * That of the pool asks for a worker; where there is to be none
 * (kms.keygen_workers is 0) it generates itself.
 * What is due is judged by "clock", of kms_clock_advance; for "confirm_purge"
 * see kms_purge_keys.
 */
extern void kms_maintain_run(KmsTask task, const KmsClock *clock,
							 bool confirm_purge, KmsTaskResult *result);

/*
 * kms_maintain(): wait for the master key, advance the clock and run one batch
 * of each task, in the order of KmsTask.  For "confirm_clock" see
 * kms_clock_advance.
 */
extern void kms_maintain_run_all(bool confirm_purge, bool confirm_clock,
								 KmsTaskResult results[KMS_TASK_COUNT]);

#endif							/* KMS_KEYS_MAINTAIN_H */
