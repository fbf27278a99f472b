/*
 * Importing RSA private keys that were generated elsewhere.
 */
#ifndef KMS_CRYPTO_RSA_IMPORT_H
#define KMS_CRYPTO_RSA_IMPORT_H

#include "crypto/rsa_key.h"

#define KMS_RSA_MAX_IMPORT	8192	/* bytes of PEM; the largest key takes 3.3
									 * kB */

/*
 * Read one unencrypted private key in PEM (RFC 7468): PKCS#8 PrivateKeyInfo
 * (RFC 5208) of rsaEncryption, or PKCS#1 RSAPrivateKey (RFC 8017, A.1.2).
 * Only white space is allowed around it.
 *
 * The key must have two primes of the same size with CRT values, a modulus of
 * 2048 to 4096 bits and an odd public exponent of at least 3 and at most 64
 * bits.  All numbers are checked: the primes by Miller-Rabin tests, which take
 * some 50 ms for 2048 bits and 0.3 s for 4096, the others against each other.
 * Then the pair is tested.  kms_rsa_key_private_der can write the resulting
 * key, and kms_rsa_key_open_private can open it.
 *
 * KMS_BAD_KEY: *why is a static phrase such as "it is encrypted", which
 * contains nothing of the key; otherwise *why is NULL.  A full secure heap
 * gives KMS_NO_MEMORY.  On any outcome but KMS_OK *key is NULL.  The caller
 * wipes "pem".  Copies of it that are made here are wiped; OpenSSL's decoder
 * leaves a copy of the numbers' DER in the ordinary heap.
 */
extern KmsStatus kms_rsa_import_pem(KmsRsaOpener *opener, const char *pem,
									size_t len, KmsRsaKey **key,
									const char **why);

#endif							/* KMS_CRYPTO_RSA_IMPORT_H */
