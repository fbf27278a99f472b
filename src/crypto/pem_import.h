/*
 * Importing private keys in PEM that were generated elsewhere.
 */
#ifndef KMS_CRYPTO_PEM_IMPORT_H
#define KMS_CRYPTO_PEM_IMPORT_H

#include "crypto/import_refusal.h"
#include "crypto/key_pair.h"

#define KMS_PEM_IMPORT_MAX	8192	/* bytes of PEM; the largest key takes 3.3
									 * kB */

/*
 * Read one unencrypted private key in PEM (RFC 7468): PKCS#8 PrivateKeyInfo
 * (RFC 5208), version 1, of rsaEncryption, P-256 or X25519, PKCS#1
 * RSAPrivateKey (RFC 8017, A.1.2), or ECPrivateKey (RFC 5915) on P-256.  The
 * DER decides the form: each may stand under PRIVATE KEY, RSA PRIVATE KEY and
 * EC PRIVATE KEY.
 *
 * The numbers and the pair are checked as rsa_import.h and ec_import.h say.
 * kms_key_pair_private_der can write the resulting key, and
 * kms_key_pair_open_private can open it.
 *
 * KMS_BAD_KEY: *refusal says why; otherwise it is KMS_REFUSED_NONE.  A full
 * secure heap gives KMS_NO_MEMORY.  On any outcome but KMS_OK *key is NULL.
 * The caller wipes "pem".  Copies of it that are made here are wiped.  If it
 * is an RSA key, OpenSSL's decoder leaves a copy of the numbers' DER in the
 * ordinary heap.
 */
extern KmsStatus kms_pem_import(KmsKeyOpener *opener, const char *pem,
								size_t len, KmsKeyPair **key,
								KmsImportRefusal *refusal);

#endif							/* KMS_CRYPTO_PEM_IMPORT_H */
