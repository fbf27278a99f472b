/*
 * Making a JWE with a given ephemeral key, CEK and IV, only for known answers:
 * the same key and IV for two contents would break AES-GCM.  Only the
 * self-test and the unit tests include this file.
 */
#ifndef KMS_CRYPTO_JWE_ENCRYPT_FIXED_H
#define KMS_CRYPTO_JWE_ENCRYPT_FIXED_H

#include "crypto/jwe_encrypt.h"

/*
 * Do as kms_jwe_encrypt_begin does.  "ephemeral" is for ECDH-ES, "cek" for all
 * but its direct agreement; the others may be NULL.
 */
extern KmsStatus kms_jwe_encrypt_begin_fixed(KmsKeyPair *key, KmsJweAlg alg,
											 KmsJweEnc enc,
											 KmsKeyPair *ephemeral,
											 const unsigned char *cek,
											 const unsigned char *iv,
											 KmsJweDraft *draft);

#endif							/* KMS_CRYPTO_JWE_ENCRYPT_FIXED_H */
