/*
 * Random nonces for crypto/xaes, drawn in batches, because a call of
 * RAND_bytes costs more than encrypting a value.
 */
#ifndef KMS_CRYPTO_NONCES_H
#define KMS_CRYPTO_NONCES_H

#include "crypto/status.h"
#include "crypto/xaes.h"

#define KMS_NONCES_BATCH	64

/*
 * A batch.  The caller owns one in each process and starts it with zeros, and
 * the first batch is drawn on first use.  So a process must not use it and
 * then fork a child that uses it, too: both would hand out the same nonces.
 */
typedef struct KmsNonces
{
	unsigned char bytes[KMS_NONCES_BATCH * KMS_XAES_NONCE_SIZE];
	int			left;
} KmsNonces;

/*
 * Return a nonce of KMS_XAES_NONCE_SIZE bytes that was never returned before,
 * and is no longer in the batch.  KMS_FAILED if the CSPRNG fails: then "nonce"
 * is wiped, and the next call tries again.
 */
extern KmsStatus kms_nonces_next(KmsNonces *nonces, unsigned char *nonce);

#endif							/* KMS_CRYPTO_NONCES_H */
