/*
 * Maintenance: bounded batches that expire and purge keys and trim the trail.
 */
#ifndef KMS_KEYS_MAINTENANCE_H
#define KMS_KEYS_MAINTENANCE_H

typedef struct KmsTaskResult
{
	const char *task;			/* static */
	int64		done;
	int64		skipped;
	bool		more;			/* there is more of it to do now */
} KmsTaskResult;

#define KMS_TASK_COUNT 6

/*
 * One batch of each task in the current transaction, safe to run twice at
 * once.  "confirm_purge" lets a purge that waits for confirmation go on, for
 * a day.
 */
extern void kms_maintenance_run(bool confirm_purge,
								KmsTaskResult results[KMS_TASK_COUNT]);

/* The worker's: the same; true if some task has more to do. */
extern bool kms_maintenance_batch(void);

#endif							/* KMS_KEYS_MAINTENANCE_H */
