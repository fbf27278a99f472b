#include "crypto/key_id.h"
#include "tap.h"

typedef struct IdCase
{
	const char *id;
	size_t		len;
	bool		valid;			/* for a device's key */
	bool		valid_service;	/* for a pepper or an audit key */
} IdCase;

#define TEXT(text) text, sizeof(text) - 1

#define X16 "xxxxxxxxxxxxxxxx"

#define X64 X16 X16 X16 X16

static const IdCase id_cases[] = {
	{TEXT("a"), true, true},
	{TEXT("key_1700000000000_0123456789abcdef01234567"), true, true},
	{TEXT("AZaz09_.-"), true, true},
	{TEXT("urn:x/{a+b=c}#1@d"), true, false},
	{TEXT("a/"), true, false},
	{TEXT("a+"), true, false},
	{TEXT("a="), true, false},
	{TEXT("a:"), true, false},
	{TEXT("a{"), true, false},
	{TEXT("a}"), true, false},
	{TEXT("a#"), true, false},
	{TEXT("a@"), true, false},
	{TEXT(X64), true, true},
	{TEXT(X64 "x"), true, false},
	{TEXT(X64 X64), true, false},
	{TEXT(X64 X64 "x"), false, false},
	{TEXT(""), false, false},
	{NULL, 0, false, false},
	{TEXT("a b"), false, false},
	{TEXT("a\n"), false, false},
	{TEXT("a\0b"), false, false},
	{TEXT("a,"), false, false},
	{TEXT("a;"), false, false},
	{TEXT("a?"), false, false},
	{TEXT("a["), false, false},
	{TEXT("a`"), false, false},
	{TEXT("a|"), false, false},
	{TEXT("a~"), false, false},
	{TEXT("a!"), false, false},
	{TEXT("a$"), false, false},
	{TEXT("a%"), false, false},
	{TEXT("a&"), false, false},
	{TEXT("a'"), false, false},
	{TEXT("a\""), false, false},
	{TEXT("a*"), false, false},
	{TEXT("a("), false, false},
	{TEXT("a\\"), false, false},
	{TEXT("a\177"), false, false},
	{TEXT("\303\251"), false, false}
};

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
		  strcmp(id, other) != 0, "a second key id differs");
	check(kms_key_id_made(id), "a key id that was made has the form of such ids");
	id[4] = 'x';
	check(!kms_key_id_made(id), "a letter in place of a digit is not that form");
	check(!kms_key_id_made("1234") && !kms_key_id_made(""),
		  "other key ids do not have that form");
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

int
main(void)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(id_cases); i++)
	{
		check(kms_key_id_valid(id_cases[i].id, id_cases[i].len) ==
			  id_cases[i].valid, "key id %zu is %s", i,
			  id_cases[i].valid ? "valid" : "refused");
		check(kms_key_id_valid_service(id_cases[i].id, id_cases[i].len) ==
			  id_cases[i].valid_service, "key id %zu is %s for a pepper", i,
			  id_cases[i].valid_service ? "valid" : "refused");
	}
	test_key_id_make();
	return tap_done();
}
