/*
 * Base64 as clients send it.  What it holds may be secret; nothing is kept.
 */
#ifndef KMS_CRYPTO_BASE64_H
#define KMS_CRYPTO_BASE64_H

#include <stddef.h>

#include "crypto/status.h"

/*
 * Bring base64 (RFC 4648) of either alphabet, padded or not, with white space
 * anywhere (space, \t, \n, \v, \f, \r), to the standard alphabet with padding.
 * "out" must hold len + 3 bytes; a NUL that is not counted ends it.
 *
 * KMS_BAD_FORMAT: another character, a mixture of both alphabets, padding
 * that is not at the end or too much, a length that no bytes give (4n + 1),
 * or left-over bits that are not zero.  Missing padding is no fault.
 */
extern KmsStatus kms_base64_normalize(const char *in, size_t len,
									  char *out, size_t *out_len);

/*
 * Where a text that kms_base64_normalize refuses goes wrong: the offset of
 * the first character that may not stand there, or "len" if it is the end,
 * for there is too much or too little of it.
 */
extern size_t kms_base64_fault(const char *in, size_t len);

#endif							/* KMS_CRYPTO_BASE64_H */
