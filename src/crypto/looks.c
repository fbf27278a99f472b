#include <stdbool.h>
#include <string.h>

#include "crypto/looks.h"

#define JWE_DOTS	4
#define JWS_DOTS	2
#define PART_MIN	10			/* least characters of the first part */

static void trim(const char **in, size_t *len);
static bool begins_with(const char *in, size_t len, const char *start);
static bool is_quoted(const char *in, size_t len);
static bool is_bytea(const char *in, size_t len);
static bool is_parts(const char *in, size_t len, size_t dots);
static bool is_hexadecimal(const char *in, size_t len);
static bool is_percent_encoded(const char *in, size_t len);
static bool is_blanked(const char *in, size_t len, size_t block);
static bool is_space(char c);
static bool is_hex_digit(char c);
static bool is_letter_or_digit(char c);

KmsLooks
kms_looks_like(const char *in, size_t len, size_t block)
{
	/*
	 * Check this before trimming, because a blank at either end may have been
	 * a plus sign.
	 */
	if (is_blanked(in, len, block))
		return KMS_LOOKS_BLANKED;
	trim(&in, &len);
	if (len == 0)
		return KMS_LOOKS_EMPTY;
	if (begins_with(in, len, "-----BEGIN "))
		return KMS_LOOKS_PEM;
	if (in[0] == '{' || in[0] == '[')
		return KMS_LOOKS_JSON;
	if (begins_with(in, len, "data:"))
		return KMS_LOOKS_DATA_URL;
	if (is_quoted(in, len))
		return KMS_LOOKS_QUOTED;
	if (is_bytea(in, len))
		return KMS_LOOKS_BYTEA;
	if (is_parts(in, len, JWE_DOTS))
		return KMS_LOOKS_JWE;
	if (is_parts(in, len, JWS_DOTS))
		return KMS_LOOKS_JWS;
	if (is_hexadecimal(in, len))
		return KMS_LOOKS_HEXADECIMAL;
	if (is_percent_encoded(in, len))
		return KMS_LOOKS_PERCENT_ENCODED;
	return KMS_LOOKS_PLAIN;
}

static void
trim(const char **in, size_t *len)
{
	while (*len > 0 && is_space((*in)[0]))
	{
		(*in)++;
		(*len)--;
	}
	while (*len > 0 && is_space((*in)[*len - 1]))
		(*len)--;
}

static bool
begins_with(const char *in, size_t len, const char *start)
{
	return len >= strlen(start) && memcmp(in, start, strlen(start)) == 0;
}

static bool
is_quoted(const char *in, size_t len)
{
	return len >= 2 && in[0] == in[len - 1] &&
		(in[0] == '"' || in[0] == '\'' || in[0] == '`');
}

static bool
is_bytea(const char *in, size_t len)
{
	size_t		i;

	if (!begins_with(in, len, "\\x"))
		return false;
	for (i = 2; i < len; i++)
	{
		if (!is_hex_digit(in[i]))
			return false;
	}
	return true;
}

/*
 * Return true if the text has the parts of a compact form.  The first part is
 * a header; others may be empty.
 */
static bool
is_parts(const char *in, size_t len, size_t dots)
{
	size_t		seen = 0;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (in[i] == '.')
		{
			if (i < PART_MIN)
				return false;
			seen++;
		}
		else if (!is_letter_or_digit(in[i]) && in[i] != '-' && in[i] != '_')
			return false;
	}
	return seen == dots;
}

/*
 * Return true for hexadecimal digits, also after "0x" and with colons or white
 * space between them.
 */
static bool
is_hexadecimal(const char *in, size_t len)
{
	size_t		digits = 0;
	size_t		i;

	for (i = begins_with(in, len, "0x") ? 2 : 0; i < len; i++)
	{
		if (is_hex_digit(in[i]))
			digits++;
		else if (in[i] != ':' && !is_space(in[i]))
			return false;
	}
	return digits >= KMS_LOOKS_HEX_MIN;
}

static bool
is_percent_encoded(const char *in, size_t len)
{
	size_t		i;

	for (i = 0; i + 2 < len; i++)
	{
		if (in[i] == '%' && is_hex_digit(in[i + 1]) && is_hex_digit(in[i + 2]))
			return true;
	}
	return false;
}

static bool
is_blanked(const char *in, size_t len, size_t block)
{
	size_t		digits = 0;
	size_t		blanks = 0;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (is_letter_or_digit(in[i]) || in[i] == '/')
			digits++;
		else if (in[i] == ' ')
			blanks++;
		else if (in[i] != '=' && !is_space(in[i]))
			return false;
	}
	return block > 0 && blanks > 0 && digits * 3 / 4 != block &&
		(digits + blanks) * 3 / 4 == block;
}

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_hex_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
		(c >= 'A' && c <= 'F');
}

static bool
is_letter_or_digit(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		(c >= '0' && c <= '9');
}
