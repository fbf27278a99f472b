/*
 * Generating keys for ECDH.
 */
#ifndef KMS_CRYPTO_EC_GENERATE_H
#define KMS_CRYPTO_EC_GENERATE_H

#include "crypto/key_pair.h"

/*
 * Generate a key pair of P-256 or X25519 with OpenSSL's CSPRNG, and check it.
 * That takes 0.2 ms.  KMS_BAD_KEY for another type, KMS_NO_X25519 if OpenSSL
 * does not offer X25519, KMS_NO_MEMORY if the secure heap is full.  The caller
 * frees *key, which is NULL unless the result is KMS_OK.
 */
extern KmsStatus kms_ec_generate(KmsKeyType type, KmsKeyPair **key);

/* Generate a key for one agreement in the same way, without the check. */
extern KmsStatus kms_ec_generate_ephemeral(KmsKeyType type, KmsKeyPair **key);

/*
 * Agree with an ephemeral key from both sides.  Return KMS_FAILED if the
 * secrets differ.
 */
extern KmsStatus kms_ec_generate_check_pair(KmsKeyPair *key);

#endif							/* KMS_CRYPTO_EC_GENERATE_H */
