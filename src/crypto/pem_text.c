#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "crypto/pem_text.h"

#include "crypto/base64.h"
#include "crypto/der.h"

#define BEGIN		"-----BEGIN "
#define END			"-----END "
#define DASHES		"-----"

/* The first characters of PEM in base64 and in hexadecimal digits. */
#define BASE64_OF_BEGIN "LS0tLS1CRUdJTi"
#define HEX_OF_BEGIN "2D2D2D2D2D424547494E"

/* The shortest key, X25519 in PKCS#8, has 48 bytes. */
#define BASE64_MIN	64
#define HEX_MIN		96

#define VERSION_END 9			/* bytes, in which the version of a key is */
#define VERSION_BASE64 12
#define START_SIZE	20			/* characters */

static const char hex_digits[] = "0123456789abcdefABCDEF";
static const char base64_characters[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
static const char base64url_characters[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=";

/* A part of the text. */
typedef struct Span
{
	const char *at;
	const char *end;
} Span;

static KmsImportRefusal judge_other(Span all);
static bool is_hex_key(Span digits);
static bool is_base64_key(Span all);
static bool starts_private_key(const unsigned char *der);
static size_t squeeze(Span in, char *out);
static Span trim(const char *pem, size_t len);
static bool is_space(char c);
static bool is_blank(char c);
static const char *find(Span in, const char *what);
static bool starts_with(Span in, const char *what);
static bool consists_of(Span in, const char *characters);
static KmsImportRefusal judge_boundary(Span all, const char *boundary,
									   const char *mark);
static const char *next_boundary(Span in, const char **mark);
static bool has_blank_line(Span block);

KmsImportRefusal
kms_pem_text_judge(const char *pem, size_t len)
{
	Span		all = trim(pem, len);
	Span		rest = all;
	const char *mark;
	const char *begin = NULL;
	const char *boundary;
	KmsImportRefusal refusal;

	if (all.at == all.end)
		return KMS_REFUSED_EMPTY;
	if (find(all, BEGIN) == NULL)
		return judge_other(all);
	if (find(all, "\\n") != NULL || find(all, "\\r") != NULL)
		return KMS_REFUSED_LITERAL_LINE_ENDS;
	if (!starts_with(all, BEGIN))
		return KMS_REFUSED_BESIDE;

	while ((boundary = next_boundary(rest, &mark)) != NULL)
	{
		Span		block = {begin, boundary};

		refusal = judge_boundary(all, boundary, mark);
		if (refusal != KMS_REFUSED_NONE)
			return refusal;
		if (begin != NULL && has_blank_line(block))
			return KMS_REFUSED_BLANK_LINES;
		begin = strcmp(mark, BEGIN) == 0 ? boundary : NULL;
		rest.at = boundary + strlen(mark);
	}
	return KMS_REFUSED_NONE;
}

bool
kms_pem_text_is_key(const char *text, size_t len)
{
	Span		all = trim(text, len);

	switch (kms_pem_text_judge(text, len))
	{
		case KMS_REFUSED_EMPTY:
		case KMS_REFUSED_PUBLIC_JWK:
			return false;
		case KMS_REFUSED_NOT_PEM:
			return consists_of(all, base64url_characters) && is_base64_key(all);
		case KMS_REFUSED_BASE64_DER:
			return is_base64_key(all);
		case KMS_REFUSED_HEX_DER:
			if (starts_with(all, "\\x"))
				all.at += 2;
			return is_hex_key(all);
		default:
			return true;
	}
}

static bool
is_hex_key(Span digits)
{
	char		start[START_SIZE + 1];
	unsigned char der[VERSION_END];

	if (squeeze(digits, start) < 2 * VERSION_END)
		return false;
	start[2 * VERSION_END] = '\0';
	return OPENSSL_hexstr2buf_ex(der, sizeof(der), NULL, start, '\0') == 1 &&
		starts_private_key(der);
}

/* Of either alphabet. */
static bool
is_base64_key(Span all)
{
	char		start[START_SIZE + 1];
	char		standard[VERSION_BASE64 + 3];
	unsigned char der[VERSION_END];
	size_t		len;

	if (all.end - all.at < BASE64_MIN ||
		squeeze(all, start) < VERSION_BASE64 ||
		kms_base64_normalize(start, VERSION_BASE64, standard, &len) != KMS_OK ||
		strcspn(standard, "=") != VERSION_BASE64)
		return false;
	kms_base64_url_decode(standard, VERSION_BASE64, der);
	return starts_private_key(der);
}

/* A SEQUENCE that begins with the version, an INTEGER of 0 or 1. */
static bool
starts_private_key(const unsigned char *der)
{
	size_t		length_of_length = der[1] < 0x80 ? 0 : der[1] & 0x7f;
	const unsigned char *version = der + 2 + length_of_length;

	return length_of_length <= 2 && der[0] == KMS_DER_SEQUENCE &&
		version[0] == KMS_DER_INTEGER && version[1] == 1 && version[2] <= 1;
}

size_t
kms_pem_text_space(const char *pem, size_t len)
{
	size_t		i = 0;

	while (i < len && is_space(pem[i]))
		i++;
	return i;
}

/*
 * Copy the first characters that are no white space, START_SIZE at most, to
 * "out", and a NUL.  Return their number.
 */
static size_t
squeeze(Span in, char *out)
{
	size_t		len = 0;

	for (; in.at < in.end && len < START_SIZE; in.at++)
	{
		if (!is_space(*in.at))
			out[len++] = *in.at;
	}
	out[len] = '\0';
	return len;
}

/* Judge a text without a BEGIN line. */
static KmsImportRefusal
judge_other(Span all)
{
	char		start[START_SIZE + 1];
	Span		digits = all;

	if (*all.at == '{' && find(all, "\"d\"") != NULL)
		return KMS_REFUSED_JWK;
	if (*all.at == '{' && find(all, "\"kty\"") != NULL)
		return KMS_REFUSED_PUBLIC_JWK;
	if (starts_with(all, "\\x"))
		digits.at += 2;
	(void) squeeze(digits, start);
	if (digits.end - digits.at >= HEX_MIN && consists_of(digits, hex_digits))
	{
		if (strncasecmp(start, HEX_OF_BEGIN, strlen(HEX_OF_BEGIN)) == 0)
			return KMS_REFUSED_HEX_PEM;
		if (strncmp(start, "30", 2) == 0)
			return KMS_REFUSED_HEX_DER;
	}
	if (all.end - all.at >= BASE64_MIN && consists_of(all, base64_characters))
	{
		if (strncmp(start, BASE64_OF_BEGIN, strlen(BASE64_OF_BEGIN)) == 0)
			return KMS_REFUSED_BASE64_PEM;
		/* the first byte is 0x30, SEQUENCE */
		if (start[0] == 'M' && start[1] >= 'A' && start[1] <= 'P')
			return KMS_REFUSED_BASE64_DER;
	}
	return KMS_REFUSED_NOT_PEM;
}

/* Return the text without the white space at its ends. */
static Span
trim(const char *pem, size_t len)
{
	size_t		space = kms_pem_text_space(pem, len);
	Span		all = {pem + space, pem + len};

	while (all.end > all.at && is_space(all.end[-1]))
		all.end--;
	return all;
}

static bool
is_space(char c)
{
	return is_blank(c) || c == '\n';
}

/* A CR belongs to the end of its line. */
static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Return where "what" begins, or NULL. */
static const char *
find(Span in, const char *what)
{
	for (; in.at < in.end; in.at++)
	{
		if (starts_with(in, what))
			return in.at;
	}
	return NULL;
}

static bool
starts_with(Span in, const char *what)
{
	size_t		len = strlen(what);

	return (size_t) (in.end - in.at) >= len && memcmp(in.at, what, len) == 0;
}

/* White space is ignored. */
static bool
consists_of(Span in, const char *characters)
{
	for (; in.at < in.end; in.at++)
	{
		if (!is_space(*in.at) &&
			(*in.at == '\0' || strchr(characters, *in.at) == NULL))
			return false;
	}
	return true;
}

/* Return the next BEGIN or END line, and which of them it is; or NULL. */
static const char *
next_boundary(Span in, const char **mark)
{
	for (; in.at < in.end; in.at++)
	{
		*mark = starts_with(in, BEGIN) ? BEGIN : END;
		if (starts_with(in, *mark))
			return in.at;
	}
	return NULL;
}

/* Judge whether a BEGIN or END line is a line of its own. */
static KmsImportRefusal
judge_boundary(Span all, const char *boundary, const char *mark)
{
	const char *before = boundary;
	Span		after = {boundary + strlen(mark), all.end};

	while (before > all.at && is_blank(before[-1]))
		before--;
	if (before > all.at && before[-1] != '\n')
		return KMS_REFUSED_ONE_LINE;
	if (before < boundary)
		return KMS_REFUSED_INDENTED;

	/* A boundary that does not end is found when the text is decoded. */
	after.at = find(after, DASHES);
	if (after.at == NULL)
		return KMS_REFUSED_NONE;
	after.at += strlen(DASHES);
	while (after.at < after.end && is_blank(*after.at))
		after.at++;
	if (after.at < after.end && *after.at != '\n')
		return strcmp(mark, BEGIN) == 0 || starts_with(after, BEGIN)
			? KMS_REFUSED_ONE_LINE : KMS_REFUSED_BESIDE;
	return KMS_REFUSED_NONE;
}

/*
 * Return true if a block has a blank line where no header ends: OpenSSL takes
 * the lines before it for a header.  One blank line after the BEGIN line is
 * the end of a header without lines.
 */
static bool
has_blank_line(Span block)
{
	Span		line = block;
	int			number = 0;

	if (memchr(block.at, ':', (size_t) (block.end - block.at)) != NULL)
		return false;
	for (; line.at < block.end; line.at = line.end + 1, number++)
	{
		const char *newline = memchr(line.at, '\n',
									 (size_t) (block.end - line.at));

		line.end = newline != NULL ? newline : block.end;
		if (number > 1 && consists_of(line, ""))
			return true;
	}
	return false;
}
