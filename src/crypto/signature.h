/*
 * Ed25519 signatures (RFC 8032) of the trail.
 *
 * A private key is its seed of 32 bytes.  A public key is SPKI DER (RFC 8410),
 * which has only one form, of 44 bytes.  "openssl pkeyutl -verify -rawin"
 * accepts it as it is, or as PEM.
 */
#ifndef KMS_CRYPTO_SIGNATURE_H
#define KMS_CRYPTO_SIGNATURE_H

#include <stddef.h>

#include "crypto/status.h"

#define KMS_SIGNATURE_SIZE			64	/* bytes */
#define KMS_SIGNATURE_PRIVATE_SIZE	32	/* bytes */
#define KMS_SIGNATURE_PUBLIC_SIZE	44	/* bytes */

/*
 * Make a key: KMS_SIGNATURE_PRIVATE_SIZE bytes, which the caller wipes, and
 * KMS_SIGNATURE_PUBLIC_SIZE bytes.  Return KMS_FAILED if the CSPRNG or the
 * library fails; both are then wiped.
 */
extern KmsStatus kms_signature_make(unsigned char *private_key,
									unsigned char *public_key);

/*
 * Sign "len" bytes.  "signature" holds KMS_SIGNATURE_SIZE bytes.  The
 * signature is verified before it is returned, because a faulty one can reveal
 * the key.  Return KMS_FAILED if that or the library fails; "signature" is
 * then wiped.
 */
extern KmsStatus kms_signature_sign(const unsigned char *private_key,
									const void *data, size_t len,
									unsigned char *signature);

/*
 * Verify a signature.  Return KMS_OK, KMS_NOT_AUTHENTIC if it is not the
 * signature of these bytes by this key, KMS_BAD_KEY if the public key is
 * malformed, or KMS_FAILED if the library fails.
 */
extern KmsStatus kms_signature_verify(const unsigned char *public_key,
									  size_t public_len,
									  const void *data, size_t len,
									  const unsigned char signature[KMS_SIGNATURE_SIZE]);

#endif							/* KMS_CRYPTO_SIGNATURE_H */
