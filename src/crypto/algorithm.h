/*
 * The algorithms that are fetched from OpenSSL by name: once per process, and
 * kept for its life.  The self-test uses them in the postmaster, so sessions
 * inherit them.
 */
#ifndef KMS_CRYPTO_ALGORITHM_H
#define KMS_CRYPTO_ALGORITHM_H

#include <openssl/evp.h>
#include <openssl/kdf.h>

/*
 * Return the algorithm, or NULL if OpenSSL does not offer it now; the next
 * call then tries again.
 */
extern const EVP_MD *kms_algorithm_sha256(void);
extern EVP_KDF *kms_algorithm_hkdf(void);
extern EVP_MAC *kms_algorithm_hmac(void);
extern const EVP_CIPHER *kms_algorithm_aes_256_gcm(void);

#endif							/* KMS_CRYPTO_ALGORITHM_H */
