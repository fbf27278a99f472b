/*
 * Base64 as clients send it.  The data may be secret; nothing of it is kept.
 */
#ifndef KMS_CRYPTO_BASE64_H
#define KMS_CRYPTO_BASE64_H

#include <stddef.h>

#include "crypto/status.h"

/*
 * Convert base64 (RFC 4648) of either alphabet, padded or not, with white
 * space anywhere (space, \t, \n, \v, \f, \r), to the standard alphabet with
 * padding.  "out" must hold len + 3 bytes; it is terminated by a NUL, which
 * *out_len does not include.  On failure *out_len is 0 and nothing is left in
 * "out".
 *
 * Return KMS_BAD_FORMAT for another character, a mixture of both alphabets,
 * padding that is too long or not at the end, a length that no bytes encode to
 * (4n + 1), or unused bits that are not zero.  Missing padding is accepted.
 */
extern KmsStatus kms_base64_normalize(const char *in, size_t len,
									  char *out, size_t *out_len);

/*
 * Return the offset of the first character that is not allowed at its place in
 * a text that kms_base64_normalize refuses, or "len" if only the end is wrong
 * (the text is too long or too short).
 */
extern size_t kms_base64_fault(const char *in, size_t len);

#endif							/* KMS_CRYPTO_BASE64_H */
