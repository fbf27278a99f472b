/*
 * AES key wrap (RFC 3394) with its default initial value.
 */
#ifndef KMS_CRYPTO_KEY_WRAP_H
#define KMS_CRYPTO_KEY_WRAP_H

#include <stddef.h>

#include "crypto/status.h"

#define KMS_KEY_WRAP_OVERHEAD	8	/* bytes */
#define KMS_KEY_WRAP_MAX		64	/* bytes of a key that is wrapped */

/*
 * Wrap "in_len" bytes, a multiple of 8 from 16 to KMS_KEY_WRAP_MAX.  "kek" has
 * 16, 24 or 32 bytes.  "out" must hold in_len + KMS_KEY_WRAP_OVERHEAD bytes,
 * and is wiped on failure, which is the library's.
 */
extern KmsStatus kms_key_wrap(const unsigned char *kek, size_t kek_len,
							  const unsigned char *in, size_t in_len,
							  unsigned char *out);

/*
 * Open a wrap of "size" bytes with its overhead.  If it is not authentic,
 * write "instead", which has as many bytes.  Neither the status nor the time
 * shows which one was written.  "out" is wiped on failure, which is the
 * library's.
 */
extern KmsStatus kms_key_wrap_open_or(const unsigned char *kek, size_t kek_len,
									  const unsigned char *in,
									  const unsigned char *instead, size_t size,
									  unsigned char *out);

#endif							/* KMS_CRYPTO_KEY_WRAP_H */
