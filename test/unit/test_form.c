#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "crypto/form.h"
#include "tap.h"

typedef struct IdCase
{
	const char *id;
	size_t		len;
	bool		valid;
} IdCase;

#define TEXT(text) text, sizeof(text) - 1

#define X16 "xxxxxxxxxxxxxxxx"

static const IdCase id_cases[] = {
	{TEXT("a"), true},
	{TEXT("key_1700000000000_0123456789abcdef01234567"), true},
	{TEXT("AZaz09_.-"), true},
	{TEXT(X16 X16 X16 X16), true},
	{TEXT(X16 X16 X16 X16 "x"), false},
	{TEXT(""), false},
	{NULL, 0, false},
	{TEXT("a b"), false},
	{TEXT("a\n"), false},
	{TEXT("a\0b"), false},
	{TEXT("a/b"), false},
	{TEXT("a:b"), false},
	{TEXT("a@"), false},
	{TEXT("a["), false},
	{TEXT("a`"), false},
	{TEXT("a{"), false},
	{TEXT("\303\251"), false}
};

typedef struct Base64Case
{
	const char *in;
	size_t		len;
	const char *out;			/* NULL: refused */
	const char *name;
} Base64Case;

static const Base64Case base64_cases[] = {
	{TEXT(""), "", "nothing"},
	{TEXT(" \t\n\v\f\r"), "", "white space alone"},
	{TEXT("Zm9vYmFy"), "Zm9vYmFy", "no padding needed"},
	{TEXT("Zm9vYg=="), "Zm9vYg==", "two of padding"},
	{TEXT("Zm9vYmE="), "Zm9vYmE=", "one of padding"},
	{TEXT("Zm9vYg"), "Zm9vYg==", "two of padding left out"},
	{TEXT("Zm9vYmE"), "Zm9vYmE=", "one of padding left out"},
	{TEXT("Zm9vYg="), "Zm9vYg==", "one of two left out"},
	{TEXT(" Zm9v\r\n\tYg =\n= \v\f"), "Zm9vYg==", "white space anywhere"},
	{TEXT("+/+/"), "+/+/", "standard alphabet"},
	{TEXT("-_-_"), "+/+/", "URL-safe alphabet"},
	{TEXT("-_-_-w"), "+/+/+w==", "URL-safe without padding"},
	{TEXT("AA=="), "AA==", "zero bits left over"},
	{TEXT("+_AA"), NULL, "mixed alphabets"},
	{TEXT("-AA/"), NULL, "mixed alphabets the other way"},
	{TEXT("Zm9vY"), NULL, "4n + 1 characters"},
	{TEXT("A"), NULL, "one character"},
	{TEXT("A==="), NULL, "one character, three of padding"},
	{TEXT("Zm9v="), NULL, "padding where none is due"},
	{TEXT("Zm9vYmE=="), NULL, "padding too much by one"},
	{TEXT("Zm9vYg==="), NULL, "three of padding"},
	{TEXT("="), NULL, "padding alone"},
	{TEXT("Zm=9"), NULL, "padding inside"},
	{TEXT("Zg==Zg=="), NULL, "two texts"},
	{TEXT("Zh=="), NULL, "left-over bits of one byte"},
	{TEXT("Zm9="), NULL, "left-over bits of two bytes"},
	{TEXT("Zm9\0"), NULL, "a NUL"},
	{TEXT("Zm9!"), NULL, "another character"},
	{TEXT("Zm9\200"), NULL, "a byte above 0x7f"},
	{TEXT("Zm9\001"), NULL, "a control character"}
};

static void
test_base64(const Base64Case *c)
{
	/* of that very size, so that a write past it is seen */
	char	   *out = malloc(c->len + 3);
	size_t		out_len = 99;
	KmsStatus	status;

	memset(out, 'x', c->len + 3);
	status = kms_base64_normalize(c->in, c->len, out, &out_len);
	if (c->out == NULL)
		check(status == KMS_BAD_FORMAT && out_len == 0,
			  "base64 refused: %s", c->name);
	else
		check(status == KMS_OK && out_len == strlen(c->out) &&
			  strcmp(out, c->out) == 0, "base64: %s", c->name);
	free(out);
}

/* What OpenSSL encodes comes back unchanged, also without its padding. */
static void
test_base64_lengths(void)
{
	unsigned char bytes[100];
	char text[	200];
	char		out[203];
	bool		same = true;
	int			len;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		exit(2);
	for (len = 0; len <= (int) sizeof(bytes); len++)
	{
		int			text_len = EVP_EncodeBlock((unsigned char *) text, bytes, len);
		size_t		bare_len = strcspn(text, "=");
		size_t		out_len;

		same = same &&
			kms_base64_normalize(text, (size_t) text_len,
								 out, &out_len) == KMS_OK &&
			out_len == (size_t) text_len && memcmp(out, text, out_len) == 0;
		same = same &&
			kms_base64_normalize(text, bare_len, out, &out_len) == KMS_OK &&
			out_len == (size_t) text_len && memcmp(out, text, out_len) == 0;
	}
	check(same, "base64 of 0 to 100 bytes, with and without padding");
}

static void
test_key_id_make(void)
{
	char		id[KMS_KEY_ID_MADE + 1];
	char		other[KMS_KEY_ID_MADE + 1];

	check(kms_key_id_make(INT64_C(1700000000000), id) == KMS_OK &&
		  strlen(id) == KMS_KEY_ID_MADE &&
		  strncmp(id, "key_1700000000000_", 18) == 0 &&
		  strspn(id + 18, "0123456789abcdef") == 24 &&
		  kms_key_id_valid(id, strlen(id)), "a key id is made: %.18s and so on", id);
	check(kms_key_id_make(INT64_C(1700000000000), other) == KMS_OK &&
		  strcmp(id, other) != 0, "another one differs");
	check(kms_key_id_made(id), "it has the form of ids made here");
	id[4] = 'x';
	check(!kms_key_id_made(id), "a letter for a digit has not");
	check(!kms_key_id_made("1234") && !kms_key_id_made(""),
		  "nor has another key id");
	check(kms_key_id_make(0, id) == KMS_OK &&
		  strncmp(id, "key_0000000000000_", 18) == 0 &&
		  strlen(id) == KMS_KEY_ID_MADE, "the smallest time");
	check(kms_key_id_make(INT64_C(9999999999999), id) == KMS_OK &&
		  strncmp(id, "key_9999999999999_", 18) == 0 &&
		  strlen(id) == KMS_KEY_ID_MADE, "the largest time");
	check(kms_key_id_make(-1, id) == KMS_BAD_FORMAT && id[0] == '\0',
		  "a time before 1970 is refused");
	check(kms_key_id_make(INT64_C(10000000000000), id) == KMS_BAD_FORMAT &&
		  id[0] == '\0', "a time of 14 digits is refused");
}

/* Write a character as UTF-8 would, also one that it does not have. */
static size_t
put_utf8(uint32_t c, char *out)
{
	size_t		size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t		i;

	for (i = size - 1; i > 0; i--)
	{
		out[i] = (char) (0x80 | (c & 0x3f));
		c >>= 6;
	}
	out[0] = (char) (heads[size] | c);
	return size;
}

static bool
is_refused(uint32_t c)
{
	static const uint32_t singles[] = {0x7f, 0x61c, 0x200e, 0x200f};
	size_t		i;

	for (i = 0; i < LENGTH_OF(singles); i++)
	{
		if (c == singles[i])
			return true;
	}
	return c < 0x20 || (c >= 0x80 && c <= 0x9f) ||
		(c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x206f) ||
		(c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff;
}

static void
test_lines(void)
{
	static const struct
	{
		const char *bytes;
		size_t		len;
	}			malformed[] = {
		{"a\x80", 2}, {"\xc2", 1}, {"\xc0\xa0", 2}, {"\xc1\xbf", 2},
		{"\xe0\x80\xa0", 3}, {"\xe2\x82", 2}, {"\xf0\x80\x80\xa0", 4},
		{"\xf8\x88\x80\x80\x80", 5}, {"\xff", 1}, {"\xe9 ", 2},
	};
	bool		right = true;
	uint32_t	c;
	size_t		i;

	for (c = 0; c < 0x120000; c++)
	{
		char text[	6] = "a";
		size_t		len = 1 + put_utf8(c, text +1);

		text[		len++] = 'b';

		right = right && kms_utf8_line_valid(text, len) == !is_refused(c);
	}
	check(right, "controls, separators and what turns the direction are refused");
	for (i = 0; i < LENGTH_OF(malformed); i++)
		check(!kms_utf8_line_valid(malformed[i].bytes, malformed[i].len),
			  "malformed UTF-8 %zu is refused", i);
	check(kms_utf8_line_valid("", 0), "the empty text is a line");
}

int
main(void)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(id_cases); i++)
		check(kms_key_id_valid(id_cases[i].id, id_cases[i].len) ==
			  id_cases[i].valid, "key id %zu is %s", i,
			  id_cases[i].valid ? "valid" : "refused");
	test_lines();
	test_key_id_make();
	for (i = 0; i < LENGTH_OF(base64_cases); i++)
		test_base64(&base64_cases[i]);
	test_base64_lengths();
	return tap_done();
}
