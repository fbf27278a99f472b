/*
 * Wrapping with a given salt and nonce, for known answers only: the same
 * salt and nonce for two contents would break AES-GCM.  Nothing but the self
 * test and the unit tests includes this.
 */
#ifndef KMS_CRYPTO_WRAP_FIXED_H
#define KMS_CRYPTO_WRAP_FIXED_H

#include "crypto/wrap.h"

#define KMS_WRAP_SALT_SIZE	32	/* bytes */
#define KMS_WRAP_NONCE_SIZE 12	/* bytes */

/* As kms_wrap. */
extern KmsStatus kms_wrap_fixed(const KmsMasterKey *master,
								const KmsWrapContext *context,
								const unsigned char *salt,
								const unsigned char *nonce,
								const unsigned char *in, size_t in_len,
								unsigned char *out, size_t *out_len);

#endif							/* KMS_CRYPTO_WRAP_FIXED_H */
