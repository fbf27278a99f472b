/*
 * Known answers for what the service rests on: OAEP decryption, AES-256-GCM,
 * HKDF, HMAC, SHA-256, wrap and seal with fixed bytes.  The vectors are from
 * the standards (RFC 5869, RFC 4231, NIST GCM) where those have them.
 */
#ifndef KMS_CRYPTO_SELF_TEST_H
#define KMS_CRYPTO_SELF_TEST_H

#include <stddef.h>

#include "crypto/status.h"

/* KMS_OK, or KMS_FAILED with *what the name of the first that failed. */
extern KmsStatus kms_self_test_run(const char **what);

/* OpenSSL before 3.0.9 has timing leaks in RSA decryption (CVE-2022-4304). */
extern int	kms_openssl_is_old(void);

/* "OpenSSL 3.0.22 25 Aug 2026" */
extern const char *kms_openssl_version(void);

/*
 * Start OpenSSL's secure heap in this process, once: "size" bytes, a power
 * of two.  1: locked; 2: works, but not locked into memory; 0: none.
 */
extern int	kms_secure_heap_start(size_t size);

#endif							/* KMS_CRYPTO_SELF_TEST_H */
