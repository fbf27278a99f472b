/*
 * SHA-256 (FIPS 180-4).
 */
#ifndef KMS_CRYPTO_SHA256_H
#define KMS_CRYPTO_SHA256_H

#include <stdbool.h>
#include <stddef.h>

#define KMS_SHA256_SIZE		32	/* bytes */

/* Compute SHA-256.  Return false only if the library fails. */
extern bool kms_sha256(const void *data, size_t len,
					   unsigned char out[KMS_SHA256_SIZE]);

#endif							/* KMS_CRYPTO_SHA256_H */
