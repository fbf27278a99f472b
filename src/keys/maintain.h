/*
 * Maintenance: bounded batches that fill the pool, expire and purge keys, and
 * trim the trail.
 */
#ifndef KMS_KEYS_MAINTAIN_H
#define KMS_KEYS_MAINTAIN_H

#include "keys/clock.h"
#include "keys/each.h"

/* The tasks, in the order in which kms_maintain() runs them. */
typedef enum KmsTask
{
	KMS_TASK_POOL,				/* first, before anything is locked */
	KMS_TASK_PEPPER,			/* second, because callers wait for it */
	KMS_TASK_FIELDS,			/* make next versions, seal denials, make
								 * missing functions of rights */
	KMS_TASK_FOLD,				/* apply denials to the sealed rows */
	KMS_TASK_EXPIRE,
	KMS_TASK_PROBLEMATIC,
	KMS_TASK_PURGE,
	KMS_TASK_REWRAP,			/* if kms.rewrap_automatically is on */
	KMS_TASK_TRIM_EVENTS,
	KMS_TASK_TRIM_METRICS,
	KMS_TASK_ROLL_METRICS
} KmsTask;

#define KMS_TASK_COUNT 11

/*
 * Run one batch of a task in the current transaction.  Two sessions may run
 * the same task at once.  KMS_TASK_POOL asks for a worker, or generates keys
 * itself if kms.keygen_workers is 0.  "clock" (from kms_clock_advance) decides
 * what is due.  For "confirm_purge" see kms_purge_keys.
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
