#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/form.h"

#define UNIX_MS_MAX			INT64_C(9999999999999)	/* 13 digits */

typedef enum Alphabet
{
	EITHER,
	STANDARD,
	URL_SAFE
} Alphabet;

/* What has been read of a base64 text. */
typedef struct Base64
{
	Alphabet	alphabet;
	size_t		digits;
	size_t		padding;
	int			last;			/* value of the last digit */
} Base64;

/* One more than what a digit stands for, of both alphabets; 0: no digit. */
#define FIRST_SPECIAL	62		/* the digits that differ between them */

static const unsigned char digit_values[256] = {
	['A'] = 1,['B'] = 2,['C'] = 3,['D'] = 4,['E'] = 5,['F'] = 6,
	['G'] = 7,['H'] = 8,['I'] = 9,['J'] = 10,['K'] = 11,['L'] = 12,
	['M'] = 13,['N'] = 14,['O'] = 15,['P'] = 16,['Q'] = 17,['R'] = 18,
	['S'] = 19,['T'] = 20,['U'] = 21,['V'] = 22,['W'] = 23,['X'] = 24,
	['Y'] = 25,['Z'] = 26,['a'] = 27,['b'] = 28,['c'] = 29,['d'] = 30,
	['e'] = 31,['f'] = 32,['g'] = 33,['h'] = 34,['i'] = 35,['j'] = 36,
	['k'] = 37,['l'] = 38,['m'] = 39,['n'] = 40,['o'] = 41,['p'] = 42,
	['q'] = 43,['r'] = 44,['s'] = 45,['t'] = 46,['u'] = 47,['v'] = 48,
	['w'] = 49,['x'] = 50,['y'] = 51,['z'] = 52,['0'] = 53,['1'] = 54,
	['2'] = 55,['3'] = 56,['4'] = 57,['5'] = 58,['6'] = 59,['7'] = 60,
	['8'] = 61,['9'] = 62,['+'] = 63,['-'] = 63,['/'] = 64,['_'] = 64
};

static bool is_key_id_character(char c);
static size_t read_character(const unsigned char *p, size_t len,
							 uint32_t *character);
static bool is_refused_in_line(uint32_t c);
static bool take_character(Base64 *base64, char c, char *digit);
static bool is_base64_space(char c);
static bool is_complete(const Base64 *base64, size_t *padding);

bool
kms_key_id_valid(const char *id, size_t len)
{
	size_t		i;

	if (id == NULL || len < 1 || len > KMS_KEY_ID_MAX)
		return false;
	for (i = 0; i < len; i++)
	{
		if (!is_key_id_character(id[i]))
			return false;
	}
	return true;
}

/* Not isalnum: that depends on the locale. */
static bool
is_key_id_character(char c)
{
	return (c >= 'A' && c <= 'Z') ||
		(c >= 'a' && c <= 'z') ||
		(c >= '0' && c <= '9') ||
		c == '_' || c == '.' || c == '-';
}

bool
kms_key_id_made(const char *id)
{
	const char *const digits = "0123456789";
	const char *const hex = "0123456789abcdef";

	return strlen(id) == KMS_KEY_ID_MADE && strncmp(id, "key_", 4) == 0 &&
		strspn(id + 4, digits) == 13 && id[17] == '_' &&
		strspn(id + 18, hex) == KMS_ID_RANDOM;
}

bool
kms_utf8_line_valid(const char *utf8, size_t len)
{
	const unsigned char *p = (const unsigned char *) utf8;
	const unsigned char *end = p + len;

	while (p < end)
	{
		uint32_t	character;
		size_t		size = read_character(p, end - p, &character);

		if (size == 0 || is_refused_in_line(character))
			return false;
		p += size;
	}
	return true;
}

/* The bytes that the character takes, or 0 if it is not well-formed. */
static size_t
read_character(const unsigned char *p, size_t len, uint32_t *character)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t		size = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 :
	p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;
	size_t		i;

	if (size == 0 || size > len)
		return 0;
	*character = size == 1 ? p[0] : p[0] & (0x7f >> size);
	for (i = 1; i < size; i++)
	{
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*character = *character << 6 | (p[i] & 0x3f);
	}
	if (*character < least[size] || *character > 0x10ffff ||
		(*character >= 0xd800 && *character <= 0xdfff))
		return 0;
	return size;
}

static bool
is_refused_in_line(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c ||
		c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
		(c >= 0x2066 && c <= 0x206f);
}

KmsStatus
kms_key_id_make(int64_t unix_ms, char *out)
{
	char		prefix[KMS_KEY_ID_MADE - KMS_ID_RANDOM + 1];

	out[0] = '\0';
	if (unix_ms < 0 || unix_ms > UNIX_MS_MAX)
		return KMS_BAD_FORMAT;
	snprintf(prefix, sizeof(prefix), "key_%013lld_", (long long) unix_ms);
	return kms_key_id_make_prefixed(prefix, out);
}

KmsStatus
kms_key_id_make_prefixed(const char *prefix, char *out)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char random[KMS_ID_RANDOM / 2];
	KmsStatus	status = KMS_FAILED;
	char	   *p;
	size_t		i;

	ERR_clear_error();
	out[0] = '\0';
	if (RAND_bytes(random, sizeof(random)) != 1)
		goto done;

	p = out + strlen(prefix);
	memcpy(out, prefix, strlen(prefix));
	for (i = 0; i < sizeof(random); i++)
	{
		*p++ = hex[random[i] >> 4];
		*p++ = hex[random[i] & 0x0f];
	}
	*p = '\0';
	status = KMS_OK;

done:
	ERR_clear_error();
	return status;
}

KmsStatus
kms_base64_normalize(const char *in, size_t len, char *out, size_t *out_len)
{
	Base64		base64 = {EITHER, 0, 0, 0};
	KmsStatus	status = KMS_BAD_FORMAT;
	size_t		padding = 0;
	size_t		i;

	*out_len = 0;
	for (i = 0; i < len; i++)
	{
		char		digit = '\0';

		if (!take_character(&base64, in[i], &digit))
			goto done;
		if (digit != '\0')
			out[base64.digits - 1] = digit;
	}
	if (!is_complete(&base64, &padding))
		goto done;
	*out_len = base64.digits + padding;

	for (i = base64.digits; i < *out_len; i++)
		out[i] = '=';
	out[*out_len] = '\0';
	status = KMS_OK;

done:
	if (status != KMS_OK)
		OPENSSL_cleanse(out, base64.digits);
	return status;
}

size_t
kms_base64_fault(const char *in, size_t len)
{
	Base64		base64 = {EITHER, 0, 0, 0};
	size_t		i;

	for (i = 0; i < len; i++)
	{
		char		digit;

		if (!take_character(&base64, in[i], &digit))
			break;
	}
	return i;
}

/*
 * Read one character; *digit is set if it is one of the 64, as it is in the
 * standard alphabet.  False if it may not stand here.
 */
static bool
take_character(Base64 *base64, char c, char *digit)
{
	Alphabet	alphabet;
	int			value;

	value = digit_values[(unsigned char) c] - 1;
	if (value < 0)
	{
		if (c != '=')
			return is_base64_space(c);
		base64->padding++;
		return base64->padding <= 2;
	}
	if (base64->padding > 0)
		return false;
	if (value >= FIRST_SPECIAL)
	{
		alphabet = (c == '+' || c == '/') ? STANDARD : URL_SAFE;
		if (base64->alphabet != EITHER && base64->alphabet != alphabet)
			return false;
		base64->alphabet = alphabet;
		c = (value == FIRST_SPECIAL) ? '+' : '/';
	}
	base64->last = value;
	base64->digits++;

	*digit = c;
	return true;
}

static bool
is_base64_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * Bits left over in the last digit must be zero, or two texts would stand
 * for the same bytes.
 */
static bool
is_complete(const Base64 *base64, size_t *padding)
{
	switch (base64->digits % 4)
	{
		case 0:
			*padding = 0;
			break;
		case 2:
			*padding = 2;
			if ((base64->last & 0x0f) != 0)
				return false;
			break;
		case 3:
			*padding = 1;
			if ((base64->last & 0x03) != 0)
				return false;
			break;
		default:
			return false;
	}
	return base64->padding <= *padding;
}
