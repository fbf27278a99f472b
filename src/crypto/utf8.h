/*
 * UTF-8 (RFC 3629), a character at a time.
 */
#ifndef KMS_CRYPTO_UTF8_H
#define KMS_CRYPTO_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Read the character at the start of "len" bytes, at least one.  Return the
 * number of its bytes, or 0 if it is not well-formed.
 */
extern size_t kms_utf8_read(const unsigned char *p, size_t len,
							uint32_t *character);

#endif							/* KMS_CRYPTO_UTF8_H */
