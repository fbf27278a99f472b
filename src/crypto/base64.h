/*
 * Base64 as clients send it.  The data may be secret; nothing of it is kept.
 */
#ifndef KMS_CRYPTO_BASE64_H
#define KMS_CRYPTO_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "crypto/status.h"

/*
 * Convert base64 (RFC 4648) of either alphabet, padded or not, with white
 * space anywhere (space, \t, \n, \v, \f, \r), to the standard alphabet with
 * padding.  "out", which may be "in", must hold len + 3 bytes; a NUL ends it,
 * which *out_len does not include.  On failure *out_len is 0 and nothing is
 * left in "out", unless it is "in".
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

/*
 * Return true if "in" is base64url as JOSE has it (RFC 7515, 2): the URL-safe
 * alphabet without padding, white space or unused bits that are set.
 */
extern bool kms_base64_url_valid(const char *in, size_t len);

/* Return true if all characters are digits of base64url, whatever the end. */
extern bool kms_base64_url_digits(const char *in, size_t len);

/* Return the number of bytes that "len" valid characters encode. */
extern size_t kms_base64_url_size(size_t len);

/*
 * Decode.  "in" is valid, in this alphabet or the standard one.  "out", which
 * may be "in", holds kms_base64_url_size(len) bytes.
 */
extern void kms_base64_url_decode(const char *in, size_t len,
								  unsigned char *out);

#endif							/* KMS_CRYPTO_BASE64_H */
