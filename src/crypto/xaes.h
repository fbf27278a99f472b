/*
 * XAES-256-GCM (https://c2sp.org/XAES-256-GCM): AES-256-GCM with a nonce of 24
 * bytes, which may be random for any number of messages under one key.  A key
 * for each message is derived from the key and the first half of the nonce.
 *
 * A KmsXaes serves one message after another, not two threads at once.  The
 * key's schedule and the key of the last message stay in it, outside of the
 * secure heap, until kms_xaes_free wipes them; the last message's own key goes
 * with the next message.  Nothing of either is left anywhere else.
 *
 * A message adds nothing to OpenSSL's error queue, and a failed one clears it.
 * The queue is not cleared otherwise, because that takes a quarter of the time
 * of a short message.
 */
#ifndef KMS_CRYPTO_XAES_H
#define KMS_CRYPTO_XAES_H

#include <stddef.h>

#include "crypto/status.h"

#define KMS_XAES_KEY_SIZE	32	/* bytes */
#define KMS_XAES_NONCE_SIZE 24	/* bytes */
#define KMS_XAES_TAG_SIZE	16	/* bytes */

typedef struct KmsXaes KmsXaes;

/*
 * Expand a key of KMS_XAES_KEY_SIZE bytes, which the caller may wipe then.
 * Free the result with kms_xaes_free.  On failure *xaes is NULL: KMS_NO_MEMORY
 * or the library's.
 */
extern KmsStatus kms_xaes_new(const unsigned char *key, KmsXaes **xaes);

/* Wipe and free.  NULL is allowed. */
extern void kms_xaes_free(KmsXaes *xaes);

/*
 * Encrypt.  No two messages under one key may have the same nonce.  "out" must
 * hold in_len bytes and "tag" KMS_XAES_TAG_SIZE.  On failure both are wiped.
 * KMS_TOO_LONG above 2 GB of data or additional data: then nothing is written.
 */
extern KmsStatus kms_xaes_encrypt(KmsXaes *xaes, const unsigned char *nonce,
								  const unsigned char *aad, size_t aad_len,
								  const unsigned char *in, size_t in_len,
								  unsigned char *out, unsigned char *tag);

/*
 * Decrypt.  "out" must hold in_len bytes, and on failure it is wiped:
 * KMS_REJECTED if the message is not authentic, KMS_TOO_LONG as above.
 */
extern KmsStatus kms_xaes_decrypt(KmsXaes *xaes, const unsigned char *nonce,
								  const unsigned char *aad, size_t aad_len,
								  const unsigned char *in, size_t in_len,
								  const unsigned char *tag,
								  unsigned char *out);

#endif							/* KMS_CRYPTO_XAES_H */
