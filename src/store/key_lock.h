/*
 * Locks of keys: of a row of kms.key, of a device, and of the whole table.
 *
 * A caller that waits for a prepared transaction is told its name.
 */
#ifndef KMS_STORE_KEY_LOCK_H
#define KMS_STORE_KEY_LOCK_H

/*
 * Lock a device until the end of the transaction, or until the lock is
 * released.  The second function does not wait: it returns false if another
 * transaction holds the lock.
 */
extern void kms_key_lock_device(const char *device_id);
extern bool kms_key_lock_try_device(const char *device_id);
extern void kms_key_lock_release_device(const char *device_id);

/*
 * Lock a row for the transaction.  Return false if it is gone, or if another
 * transaction holds it and this lock does not wait.  A lock to change a row
 * does not keep others from inserting rows that refer to it.
 */
typedef enum KmsKeyLock
{
	KMS_LOCK_TO_CHANGE,			/* waits */
	KMS_TRY_LOCK_TO_CHANGE,
	KMS_TRY_LOCK_TO_DELETE
} KmsKeyLock;

extern bool kms_key_lock_row(const char *key_id, KmsKeyLock how);

/*
 * Return true if rows of kms.key can be changed now without waiting for a lock
 * of the whole table.  That lock is then held until the end of the
 * transaction.
 */
extern bool kms_key_lock_try_table(void);

/* The same for all tables that change when a key is made or replaced. */
extern bool kms_key_lock_try_tables(void);

#endif							/* KMS_STORE_KEY_LOCK_H */
