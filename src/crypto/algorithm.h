/*
 * The algorithms that are fetched from OpenSSL by name: once per process, and
 * kept for its life.  The self-test uses them in the postmaster, so sessions
 * inherit them.
 */
#ifndef KMS_CRYPTO_ALGORITHM_H
#define KMS_CRYPTO_ALGORITHM_H

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include "crypto/digest.h"

/* Modes of AES. */
typedef enum KmsAesMode
{
	KMS_AES_GCM,
	KMS_AES_CBC,
	KMS_AES_ECB					/* for crypto/key_wrap and crypto/xaes only */
} KmsAesMode;

#define KMS_AES_MODES 3

/*
 * Return the algorithm, or NULL if OpenSSL does not offer it now; the next
 * call then tries again.
 */
extern const EVP_MD *kms_algorithm_sha256(void);
extern const EVP_MD *kms_algorithm_digest(KmsDigest digest);
extern EVP_KDF *kms_algorithm_hkdf(void);
extern EVP_MAC *kms_algorithm_hmac(void);
extern EVP_KEYEXCH *kms_algorithm_x25519(void);

/* The same for AES with a key of 16, 24 or 32 bytes. */
extern const EVP_CIPHER *kms_algorithm_aes(KmsAesMode mode, size_t key_size);

#endif							/* KMS_CRYPTO_ALGORITHM_H */
