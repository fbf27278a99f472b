/*
 * The digests that OAEP may use (RFC 8017, 7.1; FIPS 180-4).
 *
 * The numbers are bound into seals and must not change.
 */
#ifndef KMS_CRYPTO_DIGEST_H
#define KMS_CRYPTO_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

typedef enum KmsDigest
{
	KMS_DIGEST_NONE = 0,
	KMS_SHA1 = 1,
	KMS_SHA224 = 2,
	KMS_SHA256 = 3,
	KMS_SHA384 = 4,
	KMS_SHA512 = 5,
	KMS_SHA512_224 = 6,
	KMS_SHA512_256 = 7
} KmsDigest;

#define KMS_DIGEST_COUNT 8		/* length of an array that is indexed by
								 * digest */

/*
 * Return the digest with this name ("sha1", "sha224", … "sha512-256"; lower
 * case), or KMS_DIGEST_NONE.
 */
extern KmsDigest kms_digest_by_name(const char *name);

/*
 * Return the name as above, or NULL for KMS_DIGEST_NONE and any other value.
 */
extern const char *kms_digest_name(KmsDigest digest);

/* Return OpenSSL's name ("SHA2-256"), or NULL for KMS_DIGEST_NONE. */
extern const char *kms_digest_openssl_name(KmsDigest digest);

/* Return the length of the output in bytes, or 0 for KMS_DIGEST_NONE. */
extern size_t kms_digest_size(KmsDigest digest);

/*
 * Return the registered name of RSA-OAEP with this digest for both OAEP and
 * MGF1, for "alg" of a JWK (RFC 7518, 4.3, and IANA's registry of JOSE
 * algorithms), or NULL if there is none.
 */
extern const char *kms_digest_jwa_name(KmsDigest digest);

#endif							/* KMS_CRYPTO_DIGEST_H */
