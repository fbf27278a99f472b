/*
 * kms.key and kms.key_secret: keys.
 *
 * Reading is an index scan under a fresh catalog snapshot.  It sees what is
 * committed now and what this transaction has done, even inside an old
 * REPEATABLE READ snapshot, in parallel workers and on standbys.  Writing goes
 * through SPI with the extension owner's rights.
 */
#ifndef KMS_STORE_KEY_TABLE_H
#define KMS_STORE_KEY_TABLE_H

#include "store/key.h"
#include "store/secret_table.h"

/* Read a key.  Return false if it has no row. */
extern bool kms_key_table_read(const char *key_id, KmsKey *key);

/* Call "visit" for the device's keys, newest first, until it returns false. */
typedef bool (*KmsKeyVisitor) (const KmsKey *key, KmsRowOrigin origin,
							   void *arg);

extern void kms_key_table_visit_device(const char *device_id, KmsKeyVisitor visit,
									   void *arg);

/*
 * Insert a key.  Another transaction that is inserting the same id is waited
 * for.  Return false if the id exists.  Raise 40001 if it is not visible to
 * the transaction's snapshot.
 */
extern bool kms_key_table_insert(const KmsKeyRow *row, const KmsKeySecret *secret);

/*
 * Write state, prior state, reason, times, version and seal of a row that was
 * read at "version".  Return false if it no longer has that version (READ
 * COMMITTED).  Raise 40001 under an older snapshot.
 */
extern bool kms_key_table_update(const KmsKeyRow *row, int64 version);

/*
 * Delete the row, its secret and its denials.  Return false if the row no
 * longer has that version.
 */
extern bool kms_key_table_delete(const KmsKeyRow *row);

#endif							/* KMS_STORE_KEY_TABLE_H */
