/*
 * Known-answer tests of everything that the service relies on: OAEP
 * decryption, AES-256-GCM, XAES-256-GCM, HKDF, HMAC, SHA-256; wrap, seal,
 * stored value and blind index with fixed bytes; and a JWE each for P-256 and
 * X25519, which together use the Concat KDF, AES key wrap, AES-CBC with HMAC
 * and AES-GCM.  X25519 is left out if OpenSSL does not offer it.  The vectors
 * are from the standards (RFC 5869, RFC 4231, RFC 7520, NIST GCM, C2SP) where
 * these have some.
 */
#ifndef KMS_CRYPTO_SELF_TEST_H
#define KMS_CRYPTO_SELF_TEST_H

#include <stddef.h>

#include "crypto/status.h"

/*
 * Run all tests.  Return KMS_OK, or KMS_FAILED with the name of the first
 * failed test in *what.
 */
extern KmsStatus kms_self_test_run(const char **what);

#endif							/* KMS_CRYPTO_SELF_TEST_H */
