/*
 * HKDF and HMAC with SHA-256 (RFC 5869, RFC 2104), for everything under the
 * master key.  Both return false only if the library fails; "out" is then
 * wiped.
 */
#ifndef KMS_CRYPTO_KDF_H
#define KMS_CRYPTO_KDF_H

#include <stdbool.h>
#include <stddef.h>

#define KMS_HMAC_SIZE 32		/* bytes */

/*
 * Derive "out_len" bytes, at most 255 * 32.  "salt_len" and "info_len" may be
 * 0.
 */
extern bool kms_kdf_hkdf_sha256(const unsigned char *key, size_t key_len,
								const unsigned char *salt, size_t salt_len,
								const unsigned char *info, size_t info_len,
								unsigned char *out, size_t out_len);

/* Compute the HMAC of "head" followed by "data".  Either may be empty. */
extern bool kms_kdf_hmac_sha256(const unsigned char *key, size_t key_len,
								const void *head, size_t head_len,
								const void *data, size_t data_len,
								unsigned char out[KMS_HMAC_SIZE]);

#endif							/* KMS_CRYPTO_KDF_H */
