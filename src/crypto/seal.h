/*
 * How rows are authenticated.  The encodings are those of crypto/encoder.h.
 *
 * Seal, KMS_SEAL_SIZE bytes:
 *
 *	0		1		format, 0x01
 *	1		8		fingerprint of the master key
 *	9		32		HMAC-SHA256
 *
 *	The HMAC key is HKDF-SHA256(master key, empty salt,
 *	info = lp("kms/seal/v1")), 32 bytes.  The message is
 *	lp("kms/seal-data/v1") | lp(canonical row) , where the row is encoded by
 *	its owner with the KmsEncoder; it must hold a digest of the wrap and
 *	of the public key.
 */
#ifndef KMS_CRYPTO_SEAL_H
#define KMS_CRYPTO_SEAL_H

#include <stddef.h>

#include "crypto/encoder.h"
#include "crypto/master_key.h"
#include "crypto/status.h"

#define KMS_SEAL_SIZE		41	/* bytes */

/*
 * Seal an encoded row; "seal" holds KMS_SEAL_SIZE bytes and is wiped on
 * failure: KMS_BAD_FORMAT if the row did not fit its encoder.
 */
extern KmsStatus kms_seal(const KmsMasterKey *master, const KmsEncoder *row,
						  unsigned char *seal);

/*
 * KMS_OK, KMS_OTHER_MASTER_KEY or KMS_NOT_AUTHENTIC (KMS_FAILED if the
 * library fails); compares in constant time.
 */
extern KmsStatus kms_seal_verify(const KmsMasterKey *master, const KmsEncoder *row,
								 const unsigned char *seal, size_t len);


/* The fingerprint in a seal; NULL if too short or of unknown format. */
extern const unsigned char *kms_seal_master_key_id(const unsigned char *seal,
												   size_t len);

#endif							/* KMS_CRYPTO_SEAL_H */
