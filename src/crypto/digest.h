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

#define KMS_DIGEST_COUNT 8		/* with NONE: what an array by digest needs */

/* "sha1", "sha224", … "sha512-256", lower case; NONE if there is no such one. */
extern KmsDigest kms_digest_by_name(const char *name);

/* The name above; NULL for NONE and anything unknown. */
extern const char *kms_digest_name(KmsDigest digest);

/* OpenSSL's name of it ("SHA2-256"); NULL for NONE. */
extern const char *kms_digest_openssl_name(KmsDigest digest);

/* Length of its output in bytes; 0 for NONE. */
extern size_t kms_digest_size(KmsDigest digest);

/*
 * The registered name of RSA-OAEP with it, for OAEP and MGF1, as "alg" of a
 * JWK has it (RFC 7518, 4.3, and IANA's registry of JOSE algorithms); NULL if
 * it has none.
 */
extern const char *kms_digest_jwa_name(KmsDigest digest);

#endif							/* KMS_CRYPTO_DIGEST_H */
