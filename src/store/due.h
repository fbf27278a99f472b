/*
 * Which keys are due: what maintenance and the health check look for in
 * kms.key.
 */
#ifndef KMS_STORE_DUE_H
#define KMS_STORE_DUE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#define KMS_SWEEP_MAX 1000		/* keys that a sweep finds at once */

/*
 * Ids of at most "limit" keys, and KMS_SWEEP_MAX, in the caller's memory
 * context.
 */
typedef enum KmsSweep
{
	KMS_SWEEP_EXPIRED,			/* active and past expires_at */
	KMS_SWEEP_PURGE,			/* past retention or delete_at */
	KMS_SWEEP_SAMPLE			/* some keys, at random */
} KmsSweep;

/* "untried": how many of them were never tried before. */
extern List *kms_due_find(KmsSweep what, TimestampTz now, int limit,
						  int *untried);

/* How many are due to be purged and were never tried, exact up to "limit". */
extern int64 kms_due_purge_count(TimestampTz now, int64 limit);

/* This key could not be dealt with: let the others go first. */
extern void kms_due_mark_tried(const char *key_id, TimestampTz now);

/* Number of keys, exact up to 100,000, an estimate above. */
extern int64 kms_due_key_count(void);

#endif							/* KMS_STORE_DUE_H */
