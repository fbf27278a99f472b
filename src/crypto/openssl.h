/*
 * The version of OpenSSL that is in use.
 */
#ifndef KMS_CRYPTO_OPENSSL_H
#define KMS_CRYPTO_OPENSSL_H

#include <openssl/opensslv.h>

/*
 * Return 1 if OpenSSL is older than 3.0.9, which has timing leaks in RSA
 * decryption (CVE-2022-4304), otherwise 0.
 */
extern int	kms_openssl_is_old(void);

/* Return the version as text: "OpenSSL 3.0.22 25 Aug 2026". */
extern const char *kms_openssl_version(void);

#endif							/* KMS_CRYPTO_OPENSSL_H */
