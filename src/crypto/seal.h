/*
 * Seals, which authenticate rows.  docs/design/seal-and-denial.md specifies
 * the format; the encodings are those of crypto/encoder.h.
 *
 * The owner of a row encodes it with a KmsEncoder.  The encoding must contain
 * a digest of the wrap and of the public key.
 */
#ifndef KMS_CRYPTO_SEAL_H
#define KMS_CRYPTO_SEAL_H

#include <stddef.h>

#include "crypto/encoder.h"
#include "crypto/master_key.h"
#include "crypto/status.h"

#define KMS_SEAL_SIZE		41	/* bytes */

/*
 * Seal an encoded row.  "seal" holds KMS_SEAL_SIZE bytes and is wiped on
 * failure: KMS_BAD_FORMAT if the row did not fit its encoder, KMS_FAILED if
 * the library fails.
 */
extern KmsStatus kms_seal(const KmsMasterKey *master, const KmsEncoder *row,
						  unsigned char *seal);

/*
 * Verify a seal in constant time.  Return KMS_OK, KMS_OTHER_MASTER_KEY,
 * KMS_NOT_AUTHENTIC, or KMS_FAILED if the library fails.
 */
extern KmsStatus kms_seal_verify(const KmsMasterKey *master, const KmsEncoder *row,
								 const unsigned char *seal, size_t len);


/*
 * Return the fingerprint in a seal, or NULL if the seal has another length or
 * an unknown format.
 */
extern const unsigned char *kms_seal_master_key_id(const unsigned char *seal,
												   size_t len);

#endif							/* KMS_CRYPTO_SEAL_H */
