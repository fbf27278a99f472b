#include <stdlib.h>

#include "crypto/master_key.h"
#include "tap.h"

#define TEXT(text) text, sizeof(text) - 1

#define A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define A_UPPER \
	"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"
#define B "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define L32 "abcdefghijklmnopABCDEFGHIJKL0_.-"

typedef struct GoodCase
{
	const char *text;
	size_t		len;
	int			count;
	const char *label;			/* of the first */
	const char *name;
} GoodCase;

static const GoodCase good_cases[] = {
	{TEXT(A), 1, "", "a key without end of line"},
	{TEXT(A "\n"), 1, "", "a key"},
	{TEXT(A "\r\n"), 1, "", "a key with \\r\\n"},
	{TEXT(A "\r"), 1, "", "a key with \\r at the end"},
	{TEXT(A_UPPER "\n"), 1, "", "upper case digits"},
	{TEXT("2024:" A "\n"), 1, "2024", "a label"},
	{TEXT("2024: \t" A "\n"), 1, "2024", "a label and blanks"},
	{TEXT(" \t" A "\n"), 1, "", "blanks before the key"},
	{TEXT("  x:" A "\n"), 1, "x", "blanks before the label"},
	{TEXT(L32 ":" A "\n"), 1, L32, "a label of 32 characters"},
	{TEXT(A "\n" B "\n"), 2, "", "two keys"},
	{TEXT("a:" A "\nb:" B), 2, "a", "two keys with labels"},
	{TEXT("A:" A "\na:" B), 2, "A", "labels that differ in case"},
	{TEXT("# c\n\n \t\n" A "\n#" A "\n\r\n"), 1, "", "comments, blank lines"},
	{TEXT("  # c: \"x\"\n" A), 1, "", "a comment after blanks"}
};

typedef struct BadCase
{
	const char *text;
	size_t		len;
	int			line;
	const char *why;
} BadCase;

static const BadCase bad_cases[] = {
	{TEXT(""), 0, "no key"},
	{TEXT("\n\n# only this\n"), 0, "no key"},
	{TEXT("00"), 1, "not 64 hexadecimal digits"},
	{TEXT(A "0\n"), 1, "not 64 hexadecimal digits"},
	{TEXT(A " \n"), 1, "not 64 hexadecimal digits"},
	{TEXT("\n0x" A "\n"), 2, "not 64 hexadecimal digits"},
	{TEXT("g" A), 1, "not 64 hexadecimal digits"},
	{TEXT("a:\n"), 1, "not 64 hexadecimal digits"},
	{TEXT("\357\273\277" A), 1, "not 64 hexadecimal digits"},
	{TEXT(A A), 1, "not 64 hexadecimal digits"},
	{TEXT(":" A), 1, "an empty label"},
	{TEXT(L32 "x:" A), 1, "a label of more than 32 characters"},
	{TEXT("a b:" A), 1,
	"a label with a character other than A-Z a-z 0-9 _ . -"},
	{TEXT("a :" A), 1,
	"a label with a character other than A-Z a-z 0-9 _ . -"},
	{TEXT("a:b:" A), 1, "not 64 hexadecimal digits"},
	{TEXT(A "\n" A "\n"), 2, "the same key twice"},
	{TEXT("a:" A "\nb:" A_UPPER), 2, "the same key twice"},
	{TEXT("a:" A "\n\na:" B), 3, "the same label twice"},
	{TEXT(A "\n"
		  "0000000000000000000000000000000000000000000000000000000000000000"),
	2, "a key of one byte repeated"},
	{TEXT("abababababababababababababababababababababababababababababababab"),
	1, "a key of one byte repeated"},
	{TEXT(A "\n#\0\n"), 2, "a zero byte"},
	{TEXT(A "\0"), 1, "a zero byte"},
	{TEXT("\0\n" A), 1, "a zero byte"}
};

static void
test_good(const GoodCase *c)
{
	KmsMasterKeys keys;
	const char *why;
	int			line;
	int			i;
	bool		ok;

	ok = kms_master_key_parse(c->text, c->len, &keys, &line, &why) == KMS_OK;
	ok = ok && keys.count == c->count && line == 0 && why == NULL &&
		strcmp(keys.keys[0].label, c->label) == 0;
	for (i = 0; ok && i < KMS_MASTER_KEY_SIZE; i++)
		ok = keys.keys[0].key[i] == i;
	check(ok, "%s", c->name);
}

static void
test_bad(const BadCase *c)
{
	KmsMasterKeys keys;
	const char *why = NULL;
	int			line = -1;
	KmsStatus	status;

	memset(&keys, 0xff, sizeof(keys));
	status = kms_master_key_parse(c->text, c->len, &keys, &line, &why);
	if (!check(status == KMS_BAD_FORMAT && line == c->line && why != NULL &&
			   strcmp(why, c->why) == 0 && is_all(&keys, sizeof(keys), 0),
			   "line %d: %s", c->line, c->why))
		printf("# status %d, line %d: %s\n", status, line, why ? why : "");
}

/* HMAC-SHA256 of the domain: openssl mac, or test/unit/vectors.txt */
static void
test_fingerprint(void)
{
	static const unsigned char expected[KMS_MASTER_KEY_ID_SIZE] = {
		0x84, 0x62, 0xdd, 0xd0, 0xca, 0xe7, 0x92, 0xf9
	};
	KmsMasterKeys keys;
	const char *why;
	int			line;

	check(kms_master_key_parse(TEXT("old:" B "\nnew:" A), &keys,
							   &line, &why) == KMS_OK &&
		  memcmp(keys.keys[1].id, expected, sizeof(expected)) == 0,
		  "the fingerprint is that of vectors.txt");
	check(kms_master_key_find(&keys, expected) == &keys.keys[1],
		  "a key is found by it");
	check(kms_master_key_find(&keys, (const unsigned char *) "12345678") ==
		  NULL, "an unknown one is not found");
	check(kms_master_key_labelled(&keys, "new") == &keys.keys[1],
		  "a key is found by its label");
	check(kms_master_key_labelled(&keys, "ne") == NULL &&
		  kms_master_key_labelled(&keys, "newer") == NULL,
		  "a key is found by its whole label only");
	keys.count = 0;
	check(kms_master_key_find(&keys, expected) == NULL,
		  "no key is found in an empty list");
}

static void
test_many(int count, KmsStatus expected)
{
	char	   *text = malloc((size_t) count * 66);
	char	   *p = text;
	KmsMasterKeys keys;
	const char *why;
	int			line;
	int			i;

	for (i = 0; i < count; i++)
		p += snprintf(p, 66, "%02x%s\n", i, &A[2]);
	check(kms_master_key_parse(text, (size_t) (p - text), &keys,
							   &line, &why) == expected &&
		  keys.count == (expected == KMS_OK ? count : 0) &&
		  line == (expected == KMS_OK ? 0 : count), "%d keys", count);
	free(text);
}

/* The text ends where its length says. */
static void
test_every_truncation(void)
{
	static const char text[] = "# c\na: " A "\r\nb:" B "\n";
	bool		ok = true;
	size_t		len;

	for (len = 0; len < sizeof(text); len++)
	{
		char	   *copy = malloc(len > 0 ? len : 1);
		KmsMasterKeys keys;
		const char *why;
		int			line;
		KmsStatus	status;

		memcpy(copy, text, len);
		status = kms_master_key_parse(copy, len, &keys, &line, &why);
		ok = ok && (status == KMS_OK ? keys.count > 0 :
					status == KMS_BAD_FORMAT && keys.count == 0 &&
					why != NULL);
		free(copy);
	}
	check(ok, "a text cut off anywhere");
}

int
main(void)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(good_cases); i++)
		test_good(&good_cases[i]);
	for (i = 0; i < LENGTH_OF(bad_cases); i++)
		test_bad(&bad_cases[i]);
	test_fingerprint();
	test_many(KMS_MASTER_KEYS_MAX, KMS_OK);
	test_many(KMS_MASTER_KEYS_MAX + 1, KMS_BAD_FORMAT);
	test_every_truncation();
	return tap_done();
}
