/*
 * The form of a text that should be a ciphertext in base64: other forms that
 * clients send by mistake.
 *
 * Only the form is examined, because the text may be a secret in the wrong
 * place.
 */
#ifndef KMS_CRYPTO_LOOKS_H
#define KMS_CRYPTO_LOOKS_H

#include <stddef.h>

typedef enum KmsLooks
{
	KMS_LOOKS_PLAIN = 0,		/* none of these; also base64 */
	KMS_LOOKS_EMPTY,			/* only white space */
	KMS_LOOKS_PEM,
	KMS_LOOKS_JSON,
	KMS_LOOKS_DATA_URL,			/* RFC 2397 */
	KMS_LOOKS_QUOTED,
	KMS_LOOKS_BYTEA,			/* \x and hexadecimal digits */
	KMS_LOOKS_JWE,				/* compact form (RFC 7516, 3.1): five parts */
	KMS_LOOKS_JWS,				/* compact form (RFC 7515, 3.1): three parts */
	KMS_LOOKS_HEXADECIMAL,
	KMS_LOOKS_PERCENT_ENCODED,	/* RFC 3986, 2.1 */
	KMS_LOOKS_BLANKED			/* base64 with blanks for plus signs */
} KmsLooks;

/*
 * Return the form of a text.
 *
 * "block" is the length in bytes that the ciphertext should have, or 0 if not
 * known.  A text is KMS_LOOKS_BLANKED only if it has that length with its
 * blanks as plus signs and does not have it without.  Hexadecimal digits are
 * also base64, and count as hexadecimal if there are at least
 * KMS_LOOKS_HEX_MIN.
 */
#define KMS_LOOKS_HEX_MIN 128

extern KmsLooks kms_looks_like(const char *in, size_t len, size_t block);

#endif							/* KMS_CRYPTO_LOOKS_H */
