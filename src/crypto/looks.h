/*
 * What a text that should be a ciphertext in base64 looks like instead: the
 * forms in which clients send one by mistake.
 *
 * Only the form is looked at; the text may be a secret in the wrong place.
 */
#ifndef KMS_CRYPTO_LOOKS_H
#define KMS_CRYPTO_LOOKS_H

#include <stddef.h>

typedef enum KmsLooks
{
	KMS_LOOKS_PLAIN = 0,		/* none of these; base64 looks so, too */
	KMS_LOOKS_EMPTY,			/* nothing but white space */
	KMS_LOOKS_PEM,
	KMS_LOOKS_JSON,
	KMS_LOOKS_DATA_URL,			/* RFC 2397 */
	KMS_LOOKS_QUOTED,
	KMS_LOOKS_BYTEA,			/* \x and hexadecimal digits */
	KMS_LOOKS_JWE,				/* compact form (RFC 7516, 3.1): five parts */
	KMS_LOOKS_JWS,				/* compact form (RFC 7515, 3.1): three parts */
	KMS_LOOKS_HEXADECIMAL,
	KMS_LOOKS_PERCENT_ENCODED,	/* RFC 3986, 2.1 */
	KMS_LOOKS_BLANKED			/* base64 whose plus signs became blanks */
} KmsLooks;

/*
 * "block" is the length in bytes that the ciphertext should have, 0 if that
 * is not known: only a text that has it with its blanks as plus signs, and
 * does not have it without, is told as KMS_LOOKS_BLANKED.  Hexadecimal digits
 * are base64, too, and taken for hexadecimal from KMS_LOOKS_HEX_MIN on.
 */
#define KMS_LOOKS_HEX_MIN 128

extern KmsLooks kms_looks_like(const char *in, size_t len, size_t block);

#endif							/* KMS_CRYPTO_LOOKS_H */
