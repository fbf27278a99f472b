/*
 * Agreement on a secret by ECDH on P-256 (NIST SP 800-56A, 5.7.1.2, with
 * cofactor 1) and by X25519 (RFC 7748, 6.1).
 */
#ifndef KMS_CRYPTO_ECDH_H
#define KMS_CRYPTO_ECDH_H

#include "crypto/key_pair.h"

#define KMS_ECDH_SIZE 32		/* bytes of the secret */

/*
 * Agree with the owner of the public key whose coordinates are "x" and "y",
 * KMS_COORDINATE_SIZE bytes each; "y" is not read for X25519.  The secret
 * is the x coordinate of the common point, big-endian, or the output of
 * X25519.  The caller wipes it; on failure it is wiped here.
 *
 * A point that is not on the curve, and one of small order, give
 * KMS_BAD_FORMAT.  KMS_BAD_KEY if "key" is RSA or has no private half.
 * Otherwise a failure is the library's: KMS_NO_MEMORY or KMS_FAILED.
 * The first agreement prepares a context, which the key keeps.
 */
extern KmsStatus kms_ecdh_agree(KmsKeyPair *key, const unsigned char *x,
								const unsigned char *y,
								unsigned char secret[KMS_ECDH_SIZE]);

#endif							/* KMS_CRYPTO_ECDH_H */
