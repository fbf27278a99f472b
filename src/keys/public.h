/*
 * Public keys of existing keys.
 */
#ifndef KMS_KEYS_PUBLIC_H
#define KMS_KEYS_PUBLIC_H

#include "nodes/pg_list.h"

#include "crypto/rsa_key.h"
#include "keys/call.h"
#include "pg/fault.h"
#include "store/key.h"

/* The public key of an existing key, as issue hands it out. */
extern KmsStatus kms_public_pem(KmsCall *call, const char *key_id, char *pem,
								size_t size, KmsFault *fault);

/* What a JWK (RFC 7517) tells of a key. */
typedef struct KmsPublicKey
{
	char		key_id[KMS_KEY_ID_MAX + 1];
	KmsDigest	oaep_hash;
	KmsRsaNumbers numbers;
} KmsPublicKey;

/* The same as numbers. */
extern KmsStatus kms_public_numbers(KmsCall *call, const char *key_id,
									KmsPublicKey *numbers,
									KmsFault *fault);

/*
 * Those of the device's active, unexpired keys: KmsPublicKey *, newest first,
 * each of an authentic row.  No key, no entry.
 */
extern KmsStatus kms_public_device_numbers(KmsCall *call,
										   const char *device_id, List **keys,
										   KmsFault *fault);

#endif							/* KMS_KEYS_PUBLIC_H */
