/*
 * The forms of what callers send: key ids and base64.  Parsers without
 * memory of their own; nothing here is secret but what base64 text may hold.
 */
#ifndef KMS_CRYPTO_FORM_H
#define KMS_CRYPTO_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/status.h"

#define KMS_KEY_ID_MAX		64	/* bytes without the NUL */
#define KMS_KEY_ID_MADE		42	/* bytes of an id made here */
#define KMS_ID_RANDOM		24	/* hex digits that ids made here end in */
#define KMS_DEVICE_ID_MAX	255 /* bytes */
#define KMS_APP_VERSION_MAX 64	/* bytes */
#define KMS_REASON_MAX		255 /* bytes of a reason that somebody gives */

/* 1 to 64 of A-Z a-z 0-9 _ . - */
extern bool kms_key_id_valid(const char *id, size_t len);

/* key_<digits>_<24 hex digits>: the form of ids made here. */
extern bool kms_key_id_made(const char *id);

/*
 * Whether bytes are UTF-8 (RFC 3629) that shows as one line, in the order in
 * which it stands: no controls (U+0000 to U+001F, U+007F to U+009F), no line
 * or paragraph separator (U+2028, U+2029) and nothing that turns the
 * direction (Unicode's Bidi_Control, and the deprecated U+206A to U+206F).
 */
extern bool kms_utf8_line_valid(const char *utf8, size_t len);

/*
 * Make key_<ms since 1970>_<24 hex digits from the CSPRNG>; "unix_ms" from 0
 * to 9999999999999.  "out" holds KMS_KEY_ID_MADE + 1 bytes.
 */
extern KmsStatus kms_key_id_make(int64_t unix_ms, char *out);

/*
 * Make <prefix><24 hex digits from the CSPRNG>; "out" holds the length of the
 * prefix + KMS_ID_RANDOM + 1 bytes, and "" if the CSPRNG fails (KMS_FAILED).
 */
extern KmsStatus kms_key_id_make_prefixed(const char *prefix, char *out);

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

#endif							/* KMS_CRYPTO_FORM_H */
