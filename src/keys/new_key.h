/* Making a key for a device. */
#ifndef KMS_KEYS_NEW_KEY_H
#define KMS_KEYS_NEW_KEY_H

#include "crypto/key_pair.h"
#include "keys/kind.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

/* The key that a device gets. */
typedef struct KmsIssued
{
	char		key_id[KMS_KEY_ID_MAX + 1];
	char		algorithm[KMS_KEY_ALGORITHM_SIZE];
	char		oaep_hash[16];	/* "none": a key without OAEP, as below */
	char		mgf1_hash[16];
	char		public_pem[KMS_KEY_PAIR_MAX_PEM];
	TimestampTz expires_at;
	TimestampTz renew_at;
	bool		reused;
} KmsIssued;

/* How to get a key if none is ready-made.  A key for ECDH is always made. */
typedef enum KmsEffort
{
	KMS_EFFORT_NONE,
	KMS_EFFORT_AT_ONCE,			/* as kms_create_try_generate() does */
	KMS_EFFORT_FULL
} KmsEffort;

/* A key that is to be made. */
typedef struct KmsNewKey
{
	const char *device_id;
	const char *app_version;	/* NULL: unknown */
	const char *origin;			/* KMS_ORIGIN_… */
	KmsKind		kind;			/* complete */
	KmsEffort	effort;
} KmsNewKey;

/*
 * Take a key from the pool, or else make one, and insert its rows.  The caller
 * holds the lock of the device.  KMS_INTERRUPTED if the effort that was
 * permitted gives none.
 */
extern KmsStatus kms_new_key_make(const KmsNewKey *new, KmsIssued *issued,
								  KmsFault *fault);

/* Fill *issued for a key that is there. */
extern KmsStatus kms_new_key_describe(const KmsKeyRow *row,
									  const KmsKeySecret *secret, bool reused,
									  KmsIssued *issued, KmsFault *fault);

#endif							/* KMS_KEYS_NEW_KEY_H */
