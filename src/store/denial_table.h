/*
 * kms.denial: denying the use of a key without touching its row.
 *
 * A row of kms.key is changed only together with its seal, which needs the
 * master key, and only by one transaction at a time.  To deny needs neither:
 * where the row cannot be changed at once a row is inserted here, which waits
 * for no other transaction and is in force from its commit.  So the sealed
 * row stays authentic, and nothing that was edited meanwhile is ever sealed.
 * Whoever can write to these tables can deny, or have a key deleted, as he
 * can by deleting its row; he cannot permit.
 *
 * Several denials of a key are taken together.  A scheduled deletion and a
 * revocation go before "disabled"; of these two the later one is the state,
 * but neither the revocation nor the date of the deletion is lost.
 *
 * Who brings them into the row deletes them in the same transaction, under
 * the row's lock; another may permit with the row and deny here in one
 * transaction.  So both are read under one snapshot.
 *
 * Denials whose key is gone are left for a while: a restore may be about to
 * bring the key.
 */
#ifndef KMS_STORE_DENIAL_TABLE_H
#define KMS_STORE_DENIAL_TABLE_H

#include "store/key.h"
#include "utils/snapshot.h"

/*
 * False: no key has any that a snapshot taken before could see.  Nearly free.
 */
extern bool kms_denial_table_any(void);

/*
 * What a snapshot sees.  True if one of them was written by another after the
 * snapshot of this REPEATABLE READ or SERIALIZABLE transaction was taken.
 */
extern bool kms_denial_table_read(const char *key_id, Snapshot snapshot,
								  KmsDenial *denial);

/* "reason" may be NULL; delete_at 0 is none. */
extern void kms_denial_table_insert(const char *key_id, KmsKeyState state,
									const char *reason, TimestampTz delete_at);

/*
 * Delete those that were read; all of them must be there, as they are for who
 * holds the row's lock, else 40001.
 */
extern void kms_denial_table_delete(const KmsDenial *denial);

/* Delete what there is of a key that goes. */
extern void kms_denial_table_forget(const char *key_id);

/* Delete at most "limit" whose key has been gone for long; returns how many. */
extern int64 kms_denial_table_trim(TimestampTz now, int limit);

/* Ids of at most "limit" keys that have some, those never tried first. */
extern List *kms_denial_table_sweep(int limit);

#endif							/* KMS_STORE_DENIAL_TABLE_H */
