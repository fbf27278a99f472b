/*
 * Checking RSA private keys that were generated elsewhere.
 */
#ifndef KMS_CRYPTO_RSA_IMPORT_H
#define KMS_CRYPTO_RSA_IMPORT_H

#include "crypto/der.h"
#include "crypto/import_refusal.h"
#include "crypto/status.h"

/*
 * Check all numbers of a PKCS#1 RSAPrivateKey (RFC 8017, A.1.2).
 *
 * The key must have two primes of the same size with CRT values, a modulus of
 * 2048 to 4096 bits and an odd public exponent of at least 3 and at most 64
 * bits.  The primes are checked by Miller-Rabin tests, which take some 50 ms
 * for 2048 bits and 0.3 s for 4096, the other numbers against each other.
 *
 * KMS_BAD_KEY: *refusal says why.  KMS_FAILED if the library fails or the
 * secure heap is full.
 */
extern KmsStatus kms_rsa_import_check(KmsDer der, KmsImportRefusal *refusal);

#endif							/* KMS_CRYPTO_RSA_IMPORT_H */
