#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/form.h"

#define KEY_ID_RANDOM		12	/* bytes */
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

static bool is_key_id_character(char c);
static bool take_character(Base64 *text, char c, char *digit);
static int	digit_value(char c);
static bool is_base64_space(char c);
static bool is_complete(const Base64 *text, size_t *padding);

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
		strspn(id + 18, hex) == 2 * KEY_ID_RANDOM;
}

bool
kms_no_control_characters(const char *text, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (c < 0x20 || c == 0x7f)
			return false;
	}
	return true;
}

KmsStatus
kms_key_id_make(int64_t unix_ms, char *out)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char random[KEY_ID_RANDOM];
	KmsStatus	status = KMS_FAILED;
	char	   *p;
	int			i;

	ERR_clear_error();
	out[0] = '\0';
	if (unix_ms < 0 || unix_ms > UNIX_MS_MAX)
	{
		status = KMS_BAD_FORMAT;
		goto done;
	}
	if (RAND_bytes(random, sizeof(random)) != 1)
		goto done;

	p = out + snprintf(out, KMS_KEY_ID_MADE + 1, "key_%013lld_",
					   (long long) unix_ms);
	for (i = 0; i < KEY_ID_RANDOM; i++)
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
	Base64 text = {EITHER, 0, 0, 0};
	KmsStatus	status = KMS_BAD_FORMAT;
	size_t		padding = 0;
	size_t		i;

	*out_len = 0;
	for (i = 0; i < len; i++)
	{
		char		digit = '\0';

		if (!take_character(&text, in[i], &digit))
			goto done;
		if (digit != '\0')
			out[text.digits - 1] = digit;
	}
	if (!is_complete(&text, &padding))
		goto done;
	*out_len = text.digits + padding;

	for (i = text.digits; i < *out_len; i++)
		out[i] = '=';
	out[*out_len] = '\0';
	status = KMS_OK;

done:
	if (status != KMS_OK)
		OPENSSL_cleanse(out, text.digits);
	return status;
}

size_t
kms_base64_fault(const char *in, size_t len)
{
	Base64 text = {EITHER, 0, 0, 0};
	size_t		i;

	for (i = 0; i < len; i++)
	{
		char		digit;

		if (!take_character(&text, in[i], &digit))
			break;
	}
	return i;
}

/*
 * Read one character; *digit is set if it is one of the 64, as it is in the
 * standard alphabet.  False if it may not stand here.
 */
static bool
take_character(Base64 *text, char c, char *digit)
{
	Alphabet	alphabet = EITHER;
	int			value;

	if (is_base64_space(c))
		return true;
	if (c == '=')
	{
		text	  ->padding++;
		return text->padding <= 2;
	}
	if (text->padding > 0)
		return false;

	if (c == '-' || c == '_')
	{
		alphabet = URL_SAFE;
		c = (c == '-') ? '+' : '/';
	}
	else if (c == '+' || c == '/')
		alphabet = STANDARD;
	if (alphabet != EITHER)
	{
		if (text->alphabet != EITHER && text->alphabet != alphabet)
			return false;
		text	  ->alphabet = alphabet;
	}

	value = digit_value(c);
	if (value < 0)
		return false;
	text	  ->last = value;
	text	  ->digits++;

	*digit = c;
	return true;
}

static int
digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
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
is_complete(const Base64 *text, size_t *padding)
{
	switch (text->digits % 4)
	{
		case 0:
			*padding = 0;
			break;
		case 2:
			*padding = 2;
			if ((text->last & 0x0f) !=0)
				return false;
			break;
		case 3:
			*padding = 1;
			if ((text->last & 0x03) !=0)
				return false;
			break;
		default:
			return false;
	}
	return text->padding <= *padding;
}
