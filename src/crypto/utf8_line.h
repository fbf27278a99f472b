/*
 * Text that is displayed as one line.
 */
#ifndef KMS_CRYPTO_UTF8_LINE_H
#define KMS_CRYPTO_UTF8_LINE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Return true if the bytes are UTF-8 (RFC 3629) that is displayed as one line,
 * in the order of its characters: no controls (U+0000 to U+001F, U+007F to
 * U+009F), no line or paragraph separator (U+2028, U+2029) and no character
 * that changes the direction (Unicode's Bidi_Control, and the deprecated
 * U+206A to U+206F).
 */
extern bool kms_utf8_line_valid(const char *utf8, size_t len);

#endif							/* KMS_CRYPTO_UTF8_LINE_H */
