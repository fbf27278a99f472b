/* Searching kms.key for keys that are due, and for samples. */
#ifndef KMS_STORE_DUE_H
#define KMS_STORE_DUE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#define KMS_SWEEP_MAX 1000		/* keys that a sweep finds, at most */

/* The searches of kms_due_find. */
typedef enum KmsSweep
{
	KMS_SWEEP_EXPIRED,			/* active and past expires_at */
	KMS_SWEEP_PURGE,			/* past retention or delete_at */
	KMS_SWEEP_SAMPLE			/* some keys, at random */
} KmsSweep;

/*
 * Return the ids of at most "limit" keys, and at most KMS_SWEEP_MAX, in the
 * caller's memory context.  *untried is how many of them were never tried
 * before; "untried" may be NULL.
 */
extern List *kms_due_find(KmsSweep what, TimestampTz now, int limit,
						  int *untried);

/*
 * Return how many keys are due to be purged and were never tried, exact up to
 * "limit".
 */
extern int64 kms_due_purge_count(TimestampTz now, int64 limit);

/* Note that maintenance failed for this key, so that the others go first. */
extern void kms_due_mark_tried(const char *key_id, TimestampTz now);

/* Return the number of keys, exact up to 100,000, an estimate above. */
extern int64 kms_due_key_count(void);

#endif							/* KMS_STORE_DUE_H */
