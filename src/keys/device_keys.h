/*
 * The keys of a device, as issuing looks at them.
 */
#ifndef KMS_KEYS_DEVICE_KEYS_H
#define KMS_KEYS_DEVICE_KEYS_H

#include "nodes/pg_list.h"

#include "store/key.h"

/* What is known of a device's keys, gathered newest first. */
typedef struct KmsDeviceKeys
{
	TimestampTz now;
	bool		only_valid;		/* stop at the first valid key */
	bool		found;
	bool		of_statement;	/* what was found was made by this statement */
	bool		stale;
	KmsKey		valid;			/* the newest active, unexpired one */
	List	   *active;			/* KmsKey *, expired ones too */
	int			used;
	TimestampTz next_at;
	TimestampTz replaced_at;	/* when the newest replacement was made, and */
	TimestampTz problematic_at; /* the newest problematic key; 0: none */
	int			problematic;
	int			replacements;	/* that are not problematic themselves */
} KmsDeviceKeys;

/* Gather what is committed now, without a lock. */
extern void kms_device_keys_read(KmsDeviceKeys *keys, const char *device_id,
								 bool only_valid);

/*
 * Lock the device and gather.  40001 if others have changed the device's keys
 * since the snapshot of a REPEATABLE READ or SERIALIZABLE transaction.
 */
extern void kms_device_keys_lock(KmsDeviceKeys *keys, const char *device_id);

/* The same with the rows of the active keys locked, too. */
extern void kms_device_keys_lock_all(KmsDeviceKeys *keys,
									 const char *device_id);

/* Whether the next key replaces one that maintenance took away. */
extern bool kms_device_keys_need_replacement(const KmsDeviceKeys *keys);

#endif							/* KMS_KEYS_DEVICE_KEYS_H */
