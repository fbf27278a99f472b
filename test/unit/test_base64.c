#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "crypto/base64.h"
#include "tap.h"

#define TEXT(text) text, sizeof(text) - 1

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

/* Base64 from OpenSSL decodes to the input, also without its padding. */
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

static const Base64Case url_cases[] = {
	{TEXT(""), "", "nothing"},
	{TEXT("Zg"), "f", "one byte"},
	{TEXT("Zm8"), "fo", "two bytes"},
	{TEXT("Zm9v"), "foo", "three bytes"},
	{TEXT("Zm9vYmFy"), "foobar", "six bytes"},
	{TEXT("-_-_"), "\373\377\277", "the URL-safe alphabet"},
	{TEXT("+_AA"), NULL, "a plus sign"},
	{TEXT("AAA/"), NULL, "a slash"},
	{TEXT("Zg=="), NULL, "padding"},
	{TEXT("Zm8="), NULL, "one of padding"},
	{TEXT("Zm9v="), NULL, "padding where none is due"},
	{TEXT("Zm9v "), NULL, "a blank at the end"},
	{TEXT("Zm\n9v"), NULL, "a line break"},
	{TEXT("Zh"), NULL, "left-over bits of one byte"},
	{TEXT("Zm9"), NULL, "left-over bits of two bytes"},
	{TEXT("Z"), NULL, "one character"},
	{TEXT("Zm9vY"), NULL, "4n + 1 characters"},
	{TEXT("Zm9\0"), NULL, "a NUL"},
	{TEXT("Zm9\200"), NULL, "a byte above 0x7f"}
};

static void
test_base64_url(const Base64Case *c)
{
	if (c->out == NULL)
		check(!kms_base64_url_valid(c->in, c->len), "base64url refused: %s",
			  c->name);
	else
	{
		/* of that very size, so that a write past it is seen */
		size_t		len = kms_base64_url_size(c->len);
		unsigned char *out = malloc(len);

		kms_base64_url_decode(c->in, c->len, out);
		check(kms_base64_url_valid(c->in, c->len) && len == strlen(c->out) &&
			  memcmp(out, c->out, len) == 0, "base64url: %s", c->name);
		free(out);
	}
}

int
main(void)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(base64_cases); i++)
		test_base64(&base64_cases[i]);
	test_base64_lengths();
	for (i = 0; i < LENGTH_OF(url_cases); i++)
		test_base64_url(&url_cases[i]);
	return tap_done();
}
