/*
 * Declarations that the files crypto/looks*.c share.
 *
 * Each family tries its forms in an order of its own and returns
 * KMS_LOOKS_PLAIN if it is none of them.  A text is given without white space
 * at its ends, except to kms_looks_characters(): a blank at either end may
 * have been a plus sign.
 */
#ifndef KMS_CRYPTO_LOOKS_FAMILY_H
#define KMS_CRYPTO_LOOKS_FAMILY_H

#include <stdbool.h>
#include <string.h>

#include "crypto/looks.h"

/* Characters that are invisible, were replaced, or stand for bytes. */
extern KmsLooks kms_looks_characters(const char *in, size_t len, size_t block,
									 KmsLooksUndone *undone);

/* Formats and tools with a mark of their own at the start. */
extern KmsLooks kms_looks_foreign(const char *in, size_t len,
								  KmsLooksUndone *undone);

/* Return true for the header of a compact form and a dot after it. */
extern bool kms_looks_foreign_begins_jwe(const char *in, size_t len);

/* Texts that a program prints instead of bytes. */
extern KmsLooks kms_looks_printed(const char *in, size_t len,
								  KmsLooksUndone *undone);

/* JSON, and quotes around a text. */
extern KmsLooks kms_looks_json(const char *in, size_t len, size_t block,
							   KmsLooksUndone *undone);

/* Escapes of JSON, PHP, bytea, URLs and HTML. */
extern KmsLooks kms_looks_escaped(const char *in, size_t len,
								  KmsLooksUndone *undone);

/* Hexadecimal and decimal digits, and base64 with a flaw. */
extern KmsLooks kms_looks_digits(const char *in, size_t len, size_t block,
								 KmsLooksUndone *undone);

/* Return true if a printed text was shortened: "..." stands in it. */
extern bool kms_looks_digits_shortened(const char *in, size_t len);

/*
 * Undo the escapes of the content of a JSON string (RFC 8259, 7), from its
 * first character to before its closing quote.  Return false if an escape is
 * not valid, or if a quote or a control character is not escaped.  "out" may
 * be NULL.
 */
extern bool kms_looks_json_string_unescape(const char *in, size_t len,
										   unsigned char *out, size_t *out_len);

/* Return the number of characters of such a content, which is valid. */
extern size_t kms_looks_json_string_characters(const char *in, size_t len);

static inline bool
kms_looks_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline bool
kms_looks_is_decimal(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
kms_looks_is_hex(char c)
{
	return kms_looks_is_decimal(c) || (c >= 'a' && c <= 'f') ||
		(c >= 'A' && c <= 'F');
}

static inline int
kms_looks_hex_value(char c)
{
	return kms_looks_is_decimal(c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Return true for a digit of base64, in either alphabet. */
static inline bool
kms_looks_is_base64(char c)
{
	return kms_looks_is_decimal(c) || (c >= 'a' && c <= 'z') ||
		(c >= 'A' && c <= 'Z') || c == '+' || c == '/' || c == '-' || c == '_';
}

static inline bool
kms_looks_begins(const char *in, size_t len, const char *start)
{
	return len >= strlen(start) && memcmp(in, start, strlen(start)) == 0;
}

static inline bool
kms_looks_is(const char *in, size_t len, const char *whole)
{
	return len == strlen(whole) && memcmp(in, whole, len) == 0;
}

/* Return the offset of a string in a text, or "len" if it is not there. */
static inline size_t
kms_looks_find(const char *in, size_t len, const char *what)
{
	size_t		size = strlen(what);
	size_t		i;

	for (i = 0; i + size <= len; i++)
	{
		if (memcmp(in + i, what, size) == 0)
			return i;
	}
	return len;
}

/* Leave a part of the text, and return the form. */
static inline KmsLooks
kms_looks_leave(KmsLooks looks, const char *part, size_t len,
				KmsLooksUndone *undone)
{
	memcpy(undone->data, part, len);
	undone->len = len;
	return looks;
}

#endif							/* KMS_CRYPTO_LOOKS_FAMILY_H */
