/* The keys of a device, as issuing needs them. */
#ifndef KMS_KEYS_DEVICE_KEYS_H
#define KMS_KEYS_DEVICE_KEYS_H

#include "nodes/pg_list.h"

#include "keys/kind.h"
#include "store/key.h"

/* A summary of a device's keys, which are visited newest first. */
typedef struct KmsDeviceKeys
{
	TimestampTz now;
	KmsKind		named;			/* properties of the wanted key */
	bool		only_valid;		/* stop at the first valid key */
	bool		found;
	bool		of_statement;	/* the valid key was made by this statement */
	bool		stale;
	KmsKey		valid;			/* the newest active, unexpired key that has
								 * them */
	List	   *active;			/* KmsKey *, expired ones included */
	int			used;
	TimestampTz next_at;
	TimestampTz replaced_at;	/* of the newest replacement, 0: none */
	TimestampTz problematic_at; /* of the newest problematic key, 0: none */
	int			problematic;
	int			replacements;	/* replacements that are not problematic */
} KmsDeviceKeys;

/*
 * Read the keys that are committed now, without a lock.  "named" may be NULL
 * if any key will do, here and below.
 */
extern void kms_device_keys_read(KmsDeviceKeys *keys, const char *device_id,
								 const KmsKind *named, bool only_valid);

/*
 * Lock the device and read its keys.  Raise 40001 if another transaction has
 * changed them since the snapshot of a REPEATABLE READ or SERIALIZABLE
 * transaction.
 */
extern void kms_device_keys_lock(KmsDeviceKeys *keys, const char *device_id,
								 const KmsKind *named);

/*
 * Do the same without waiting or raising an error.  Return false if another
 * transaction holds the lock or has changed the keys since the snapshot.
 */
extern bool kms_device_keys_try_lock(KmsDeviceKeys *keys, const char *device_id,
									 const KmsKind *named);

/*
 * Do the same as kms_device_keys_lock, and lock the rows of the active keys,
 * too.
 */
extern void kms_device_keys_lock_all(KmsDeviceKeys *keys,
									 const char *device_id,
									 const KmsKind *named);

/* Return whether the next key replaces one that maintenance deprecated. */
extern bool kms_device_keys_need_replacement(const KmsDeviceKeys *keys);

#endif							/* KMS_KEYS_DEVICE_KEYS_H */
