/*
 * kms.denial: denying the use of a key without changing its row.
 * docs/design/seal-and-denial.md says why, and how denials are combined.
 */
#ifndef KMS_STORE_DENIAL_TABLE_H
#define KMS_STORE_DENIAL_TABLE_H

#include "store/key.h"
#include "utils/snapshot.h"

/*
 * Return false if no key has a denial that a snapshot taken before could see.
 * Costs next to nothing.
 */
extern bool kms_denial_table_any(void);

/*
 * Read the denials of a key that a snapshot sees.  Return true if another
 * transaction wrote one of them after the snapshot of this REPEATABLE READ or
 * SERIALIZABLE transaction was taken.
 */
extern bool kms_denial_table_read(const char *key_id, Snapshot snapshot,
								  KmsDenial *denial);

/* Insert a denial.  "reason" may be NULL, and delete_at 0. */
extern void kms_denial_table_insert(const char *key_id, KmsKeyState state,
									const char *reason, TimestampTz delete_at);

/*
 * Delete the denials that were read.  Raise 40001 if one of them is gone,
 * which cannot happen to a caller that holds the row's lock.
 */
extern void kms_denial_table_delete(const KmsDenial *denial);

/* Delete the denials of a key that is being deleted. */
extern void kms_denial_table_forget(const char *key_id);

/*
 * Delete at most "limit" denials that are a week old and have no key.  Return
 * their number.
 */
extern int64 kms_denial_table_trim(TimestampTz now, int limit);

/*
 * Return the ids of at most "limit" keys with denials, those never tried
 * first.
 */
extern List *kms_denial_table_sweep(int limit);

#endif							/* KMS_STORE_DENIAL_TABLE_H */
