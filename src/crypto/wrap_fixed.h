/*
 * Wrapping with a given salt and nonce, only for known answers: the same salt
 * and nonce for two contents would break AES-GCM.  Only the self-test and the
 * unit tests include this file.
 */
#ifndef KMS_CRYPTO_WRAP_FIXED_H
#define KMS_CRYPTO_WRAP_FIXED_H

#include "crypto/wrap.h"

#define KMS_WRAP_SALT_SIZE	32	/* bytes */
#define KMS_WRAP_NONCE_SIZE 12	/* bytes */

/* Wrap as kms_wrap does, but with this salt and nonce. */
extern KmsStatus kms_wrap_fixed(const KmsMasterKey *master,
								const KmsWrapContext *context,
								const unsigned char *salt,
								const unsigned char *nonce,
								const unsigned char *in, size_t in_len,
								unsigned char *out, size_t *out_len);

#endif							/* KMS_CRYPTO_WRAP_FIXED_H */
