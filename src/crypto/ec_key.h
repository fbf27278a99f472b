/*
 * Keys for ECDH in DER.
 *
 * Each type has one encoding, which is compared byte for byte: PKCS#8 version
 * 0 (RFC 5208) with ECPrivateKey and its public key (RFC 5915) for P-256 and
 * CurvePrivateKey (RFC 8410) for X25519, and SubjectPublicKeyInfo with the
 * named curve and an uncompressed point (RFC 5480) or an X25519 key (RFC
 * 8410).  OpenSSL writes the same.
 *
 * "type" is KMS_TYPE_EC_P256 or KMS_TYPE_X25519.
 */
#ifndef KMS_CRYPTO_EC_KEY_H
#define KMS_CRYPTO_EC_KEY_H

#include <stdbool.h>

#include <openssl/evp.h>

#include "crypto/key_algorithm.h"
#include "crypto/status.h"

/* x and y, or the key of X25519 */
#define KMS_EC_KEY_MAX_POINT (2 * KMS_COORDINATE_SIZE)	/* bytes */

/*
 * Return a context for kms_ec_key_open_…, which the caller frees, or NULL if
 * memory is short or OpenSSL does not offer the algorithm.
 */
extern EVP_PKEY_CTX *kms_ec_key_importer_new(KmsKeyType type);

/*
 * Open a key.  KMS_BAD_KEY for any other encoding, a private number that is 0
 * or not below the order of P-256, or a point that is not on the curve;
 * KMS_NO_MEMORY if the secure heap is full.  Whether the two halves belong
 * together is not checked.  On failure *pkey is NULL.
 */
extern KmsStatus kms_ec_key_open_private(EVP_PKEY_CTX *importer, KmsKeyType type,
										 const unsigned char *der, size_t len,
										 EVP_PKEY **pkey);
extern KmsStatus kms_ec_key_open_public(EVP_PKEY_CTX *importer, KmsKeyType type,
										const unsigned char *der, size_t len,
										EVP_PKEY **pkey);

/*
 * Return whether a private number of P-256 is from 1 to the order less 1,
 * without a branch on it.
 */
extern bool kms_ec_key_is_in_order(const unsigned char *number);

/*
 * Write a private key with this number and, of P-256, this point: x and y.
 * Whether the two belong together is not checked.  "out" holds "size" bytes;
 * KMS_TOO_LONG if the key does not fit.  On failure "out" is wiped and
 * *out_len is 0.
 */
extern KmsStatus kms_ec_key_compose(KmsKeyType type,
									const unsigned char *number,
									const unsigned char *point,
									unsigned char *out, size_t size,
									size_t *out_len);

/*
 * Write a key, which has a private half if that is asked for, in the
 * same way.
 */
extern KmsStatus kms_ec_key_private_der(const EVP_PKEY *pkey, KmsKeyType type,
										unsigned char *out, size_t size,
										size_t *out_len);
extern KmsStatus kms_ec_key_public_der(const EVP_PKEY *pkey, KmsKeyType type,
									   unsigned char *out, size_t size,
									   size_t *out_len);

/*
 * Write x and, of P-256, y behind it to "point", which holds
 * KMS_EC_KEY_MAX_POINT bytes.  Return false if the library fails.
 */
extern bool kms_ec_key_point(const EVP_PKEY *pkey, KmsKeyType type,
							 unsigned char *point);

#endif							/* KMS_CRYPTO_EC_KEY_H */
