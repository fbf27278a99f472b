/*
 * Ed25519 (RFC 8032): what the trail is signed with.
 *
 * A private key is its seed of 32 bytes.  A public key is SPKI DER (RFC 8410),
 * which has one form only, 44 bytes: "openssl pkeyutl -verify -rawin" takes it
 * as it is, or as PEM.
 */
#ifndef KMS_CRYPTO_SIGNATURE_H
#define KMS_CRYPTO_SIGNATURE_H

#include <stddef.h>

#include "crypto/status.h"

#define KMS_SIGNATURE_SIZE			64	/* bytes */
#define KMS_SIGNATURE_PRIVATE_SIZE	32	/* bytes */
#define KMS_SIGNATURE_PUBLIC_SIZE	44	/* bytes */

/*
 * A new key: KMS_SIGNATURE_PRIVATE_SIZE bytes, which the caller wipes, and
 * KMS_SIGNATURE_PUBLIC_SIZE bytes.  KMS_FAILED if the CSPRNG or the library
 * fails; both are wiped then.
 */
extern KmsStatus kms_signature_make(unsigned char *private_key,
									unsigned char *public_key);

/*
 * Sign some bytes; "signature" holds KMS_SIGNATURE_SIZE bytes.  It is verified
 * before it is given away, for one that comes out wrong can betray the key.
 * KMS_FAILED if that or the library fails; it is wiped then.
 */
extern KmsStatus kms_signature_sign(const unsigned char *private_key,
									const void *data, size_t len,
									unsigned char *signature);

/*
 * KMS_OK, or KMS_NOT_AUTHENTIC if it is not the signature of these bytes by
 * this key.  KMS_BAD_KEY: the public key is not one; KMS_FAILED if the library
 * fails.
 */
extern KmsStatus kms_signature_verify(const unsigned char *public_key,
									  size_t public_len,
									  const void *data, size_t len,
									  const unsigned char signature[KMS_SIGNATURE_SIZE]);

#endif							/* KMS_CRYPTO_SIGNATURE_H */
