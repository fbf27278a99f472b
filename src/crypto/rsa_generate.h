/*
 * Making RSA keys.
 */
#ifndef KMS_CRYPTO_RSA_GENERATE_H
#define KMS_CRYPTO_RSA_GENERATE_H

#include "crypto/rsa_key.h"

/* Asked now and then while a key is made; true ends the search. */
typedef bool (*KmsStopCallback) (void *arg);

/*
 * Make a key pair of "bits" (2048, 3072, 4096) from OpenSSL's CSPRNG, and
 * check it by encrypting and decrypting a random block.  Takes 0.15 s to
 * several seconds for 2048 bits; "stop" (may be NULL) is asked several times
 * a millisecond.  KMS_INTERRUPTED if it said so.
 */
extern KmsStatus kms_rsa_generate(int bits, KmsStopCallback stop, void *arg,
								  KmsRsaKey **key);

#endif							/* KMS_CRYPTO_RSA_GENERATE_H */
