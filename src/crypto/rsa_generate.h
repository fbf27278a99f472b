/*
 * Generating RSA keys.
 */
#ifndef KMS_CRYPTO_RSA_GENERATE_H
#define KMS_CRYPTO_RSA_GENERATE_H

#include "crypto/key_pair.h"

/* Called repeatedly while a key is generated.  Return true to stop. */
typedef bool (*KmsStopCallback) (void *arg);

/*
 * Generate a key pair of "bits" (2048, 3072, 4096) with OpenSSL's CSPRNG, and
 * check it by encrypting and decrypting a random block.  That takes 0.15 s to
 * several seconds for 2048 bits.  "stop" (may be NULL) is called several times
 * a millisecond; if it returns true, the result is KMS_INTERRUPTED.  The
 * caller frees *key, which is NULL unless the result is KMS_OK.
 */
extern KmsStatus kms_rsa_generate(int bits, KmsStopCallback stop, void *arg,
								  KmsKeyPair **key);

#endif							/* KMS_CRYPTO_RSA_GENERATE_H */
