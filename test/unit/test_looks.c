#include <stdlib.h>

#include "crypto/base64.h"
#include "crypto/looks.h"
#include "tap.h"

#define TEXT(text) text, sizeof(text) - 1

#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16
#define HEX128 HEX64 HEX64
#define BASE64_16 "ABCDwxyz0189GHI/"

typedef struct LooksCase
{
	const char *in;
	size_t		len;
	size_t		block;
	KmsLooks	looks;
	const char *name;
} LooksCase;

static const LooksCase cases[] = {
	{TEXT(""), 0, KMS_LOOKS_EMPTY, "nothing"},
	{TEXT(" \t\r\n\v\f"), 0, KMS_LOOKS_EMPTY, "white space"},
	{TEXT(BASE64_16), 0, KMS_LOOKS_PLAIN, "base64"},
	{TEXT(BASE64_16 "=="), 12, KMS_LOOKS_PLAIN, "base64 with padding"},
	{TEXT("AB-_"), 0, KMS_LOOKS_PLAIN, "URL-safe base64"},
	{TEXT("no secret!"), 0, KMS_LOOKS_PLAIN, "some words"},
	{TEXT("\303\244\377"), 0, KMS_LOOKS_PLAIN, "other bytes"},
	{TEXT("-----BEGIN PUBLIC KEY-----\nMII"), 0, KMS_LOOKS_PEM, "PEM"},
	{TEXT("\n -----BEGIN X"), 0, KMS_LOOKS_PEM, "PEM after white space"},
	{TEXT("-----BEGIN"), 0, KMS_LOOKS_PLAIN, "half a line of PEM"},
	{TEXT("{\"a\":1}"), 0, KMS_LOOKS_JSON, "an object"},
	{TEXT(" [1]"), 0, KMS_LOOKS_JSON, "an array"},
	{TEXT("data:;base64,AAAA"), 0, KMS_LOOKS_DATA_URL, "a data URL"},
	{TEXT("\"AAAA\""), 0, KMS_LOOKS_QUOTED, "double quotes"},
	{TEXT(" 'AAAA'\n"), 0, KMS_LOOKS_QUOTED, "single quotes"},
	{TEXT("\""), 0, KMS_LOOKS_PLAIN, "one quote"},
	{TEXT("\"AAAA'"), 0, KMS_LOOKS_PLAIN, "quotes that differ"},
	{TEXT("\\x00ffAA"), 0, KMS_LOOKS_BYTEA, "bytea"},
	{TEXT("\\x00fg"), 0, KMS_LOOKS_PLAIN, "bytea with another character"},
	{TEXT("eyJhbGciOi.a.b.c.d"), 0, KMS_LOOKS_JWE, "a JWE"},
	{TEXT("eyJhbGciOi..b.c.d"), 0, KMS_LOOKS_JWE, "a JWE of a direct key"},
	{TEXT("eyJhbGciOi.a.b"), 0, KMS_LOOKS_JWS, "a JWS"},
	{TEXT("eyJhbGciOi.a.b.c"), 0, KMS_LOOKS_PLAIN, "four parts"},
	{TEXT("eyJhbGciOi.a.b.c.d.e"), 0, KMS_LOOKS_PLAIN, "six parts"},
	{TEXT("eyJhbGciO.a.b.c.d"), 0, KMS_LOOKS_PLAIN, "too short a header"},
	{TEXT("eyJhbGciOi.a.b.c+d.e"), 0, KMS_LOOKS_PLAIN, "another character"},
	{TEXT("192.168.1.10.1"), 0, KMS_LOOKS_PLAIN, "other numbers"},
	{TEXT(HEX128), 0, KMS_LOOKS_HEXADECIMAL, "hexadecimal"},
	{TEXT("0x" HEX128), 0, KMS_LOOKS_HEXADECIMAL, "hexadecimal after 0x"},
	{TEXT(HEX64 ":\n " HEX64), 0, KMS_LOOKS_HEXADECIMAL, "with colons"},
	{TEXT(HEX64 HEX16 HEX16 HEX16 "0123456789ABCDE"), 0, KMS_LOOKS_PLAIN,
	"one digit too few"},
	{TEXT(HEX128 "g"), 0, KMS_LOOKS_PLAIN, "another digit"},
	{TEXT("AAAA%2BAA"), 0, KMS_LOOKS_PERCENT_ENCODED, "percent-encoded"},
	{TEXT("AAAA%3d"), 0, KMS_LOOKS_PERCENT_ENCODED, "at the end"},
	{TEXT("AAAA%3"), 0, KMS_LOOKS_PLAIN, "cut off"},
	{TEXT("AAAA%zz"), 0, KMS_LOOKS_PLAIN, "a percent sign"},
	{TEXT(" AAA BBB DDDAAAA"), 12, KMS_LOOKS_BLANKED, "blanks for plus signs"},
	{TEXT("AAAA BBB"), 6, KMS_LOOKS_BLANKED, "one blank"},
	{TEXT(" AAA"), 3, KMS_LOOKS_BLANKED, "a blank that begins it"},
	{TEXT("AAA "), 3, KMS_LOOKS_BLANKED, "a blank that ends it"},
	{TEXT("AAA CCC/BA=="), 7, KMS_LOOKS_BLANKED, "with padding"},
	{TEXT("AAAA BBBB"), 6, KMS_LOOKS_PLAIN, "a blank between"},
	{TEXT("AAA+ BBB"), 6, KMS_LOOKS_PLAIN, "a plus sign is there"},
	{TEXT("AAAA BBB"), 0, KMS_LOOKS_PLAIN, "of no known length"},
	{TEXT("AAAA BBB"), 9, KMS_LOOKS_PLAIN, "of another length"}
};

typedef struct FaultCase
{
	const char *in;
	size_t		len;
	size_t		fault;
} FaultCase;

static const FaultCase faults[] = {
	{TEXT("!AAA"), 0},
	{TEXT("AAA!"), 3},
	{TEXT("A A\n=A"), 5},
	{TEXT("AA==="), 4},
	{TEXT("A+_"), 2},
	{TEXT("AAAAA"), 5},
	{TEXT("Zh=="), 4},
	{TEXT(""), 0}
};

static void
test_looks(const LooksCase *c)
{
	/* of that very size, so that a read behind it is seen */
	char	   *copy = malloc(c->len > 0 ? c->len : 1);

	memcpy(copy, c->in, c->len);
	check_number(kms_looks_like(copy, c->len, c->block), c->looks, c->name);
	free(copy);
}

int
main(void)
{
	size_t		i;

	check_number(KMS_LOOKS_HEX_MIN, sizeof(HEX128) - 1,
				 "the shortest hexadecimal text is tested");
	for (i = 0; i < LENGTH_OF(cases); i++)
		test_looks(&cases[i]);
	for (i = 0; i < LENGTH_OF(faults); i++)
		check_number((long long) kms_base64_fault(faults[i].in, faults[i].len),
					 (long long) faults[i].fault, "where base64 goes wrong");
	return tap_done();
}
