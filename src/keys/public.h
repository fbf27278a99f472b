/*
 * Public keys of existing keys.
 */
#ifndef KMS_KEYS_PUBLIC_H
#define KMS_KEYS_PUBLIC_H

#include "nodes/pg_list.h"

#include "crypto/key_pair.h"
#include "keys/call.h"
#include "pg/fault.h"
#include "store/key.h"

/*
 * Return the public key of an existing key in PEM, as issuing does.  "pem"
 * must hold "size" bytes, for which KMS_KEY_PAIR_MAX_PEM is enough.
 */
extern KmsStatus kms_public_pem(KmsCall *call, const char *key_id, char *pem,
								size_t size, KmsFault *fault);

/* The members of a JWK (RFC 7517). */
typedef struct KmsPublicKey
{
	char		key_id[KMS_KEY_ID_MAX + 1];
	KmsKeyType	type;
	KmsDigest	oaep_hash;		/* NONE: not used with OAEP */
	KmsDigest	mgf1_hash;
	KmsPublicNumbers numbers;
} KmsPublicKey;

/*
 * Return "alg" of the key's JWK: the algorithm of a JWE for which clients use
 * it (RFC 7517, 4.4).  NULL if its pair of digests has no registered name.
 */
extern const char *kms_public_alg(const KmsPublicKey *key);

/* Return the public key of an existing key as numbers. */
extern KmsStatus kms_public_numbers(KmsCall *call, const char *key_id,
									KmsPublicKey *numbers,
									KmsFault *fault);

/*
 * Set *keys to the public keys of the device's active, unexpired keys
 * (KmsPublicKey *), newest first.  Each row is authenticated.  If the device
 * has no such key, the list is empty.
 */
extern KmsStatus kms_public_device_numbers(KmsCall *call,
										   const char *device_id, List **keys,
										   KmsFault *fault);

#endif							/* KMS_KEYS_PUBLIC_H */
