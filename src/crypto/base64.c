#include <stdint.h>

#include <openssl/crypto.h>

#include "crypto/base64.h"

typedef enum Alphabet
{
	EITHER,
	STANDARD,
	URL_SAFE
} Alphabet;

/* The state of reading a base64 text. */
typedef struct Base64
{
	Alphabet	alphabet;
	size_t		digits;
	size_t		padding;
	int			last;			/* value of the last digit */
} Base64;

#define FIRST_SPECIAL	62		/* first digit in which the alphabets differ */

/*
 * The value of a digit plus 1, for both alphabets; 0 for any other character.
 */
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

static bool take_digits(Base64 *base64, const char *in, size_t len);
static bool take_character(Base64 *base64, char c, char *digit);
static bool is_base64_space(char c);
static bool is_complete(const Base64 *base64, size_t *padding);

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
 * Read one character.  If it is a digit, set *digit to the same digit of the
 * standard alphabet.  Return false if the character is not allowed here.
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
 * Return true if the text may end here, with the padding that it needs.
 * Unused bits of the last digit must be zero, because otherwise two texts
 * would encode the same bytes.
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

bool
kms_base64_url_valid(const char *in, size_t len)
{
	Base64		base64 = {URL_SAFE, 0, 0, 0};
	size_t		padding;

	return take_digits(&base64, in, len) && is_complete(&base64, &padding);
}

bool
kms_base64_url_digits(const char *in, size_t len)
{
	Base64		base64 = {URL_SAFE, 0, 0, 0};

	return take_digits(&base64, in, len);
}

/* Return false if a character is not a digit. */
static bool
take_digits(Base64 *base64, const char *in, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		char		digit = '\0';

		if (!take_character(base64, in[i], &digit) || digit == '\0')
			return false;
	}
	return true;
}

size_t
kms_base64_url_size(size_t len)
{
	return len / 4 * 3 + (len % 4 * 3) / 4;
}

void
kms_base64_url_decode(const char *in, size_t len, unsigned char *out)
{
	uint32_t	bits = 0;
	int			count = 0;		/* of low bits that are not stored yet */
	size_t		i;

	for (i = 0; i < len; i++)
	{
		bits = bits << 6 | (uint32_t) (digit_values[(unsigned char) in[i]] - 1);
		count += 6;
		if (count >= 8)
		{
			count -= 8;
			*out++ = (unsigned char) (bits >> count & 0xff);
		}
	}
}
