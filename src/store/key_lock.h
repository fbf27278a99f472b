/*
 * Locks of keys: of a row of kms.key, of a device, of the table as a whole.
 *
 * Who waits for a prepared transaction is told its name.
 */
#ifndef KMS_STORE_KEY_LOCK_H
#define KMS_STORE_KEY_LOCK_H

/* Held until the end of the transaction, or until it is given back. */
extern void kms_key_lock_device(const char *device_id);
extern void kms_key_lock_release_device(const char *device_id);

/*
 * Lock the row for the transaction; false if it is gone, or if another has it
 * and this is not to wait.  To change it does not exclude that rows which
 * refer to it are inserted.
 */
typedef enum KmsKeyLock
{
	KMS_LOCK_TO_CHANGE,			/* waits */
	KMS_TRY_LOCK_TO_CHANGE,
	KMS_TRY_LOCK_TO_DELETE
} KmsKeyLock;

extern bool kms_key_lock_row(const char *key_id, KmsKeyLock how);

/*
 * Whether rows of kms.key can be changed now without waiting for a lock of
 * the table as a whole; if so that lock is held to the end of the transaction.
 */
extern bool kms_key_lock_try_table(void);

#endif							/* KMS_STORE_KEY_LOCK_H */
