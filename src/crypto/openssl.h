/*
 * The library that this runs with.
 */
#ifndef KMS_CRYPTO_OPENSSL_H
#define KMS_CRYPTO_OPENSSL_H

#include <openssl/opensslv.h>

/* OpenSSL before 3.0.9 has timing leaks in RSA decryption (CVE-2022-4304). */
extern int	kms_openssl_is_old(void);

/* "OpenSSL 3.0.22 25 Aug 2026" */
extern const char *kms_openssl_version(void);

#endif							/* KMS_CRYPTO_OPENSSL_H */
