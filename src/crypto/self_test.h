/*
 * Known-answer tests of everything that the service relies on: OAEP
 * decryption, AES-256-GCM, HKDF, HMAC, SHA-256, wrap and seal with fixed
 * bytes.  The vectors are from the standards (RFC 5869, RFC 4231, NIST GCM)
 * where these have some.
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
