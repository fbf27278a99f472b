/*
 * Stored values: the vectors of docs/design/field-format.md, which this test
 * reads, every part that is bound, and every refusal.
 */
#include <limits.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/field_value.h"
#include "field_vectors.h"
#include "hex.h"
#include "tap.h"

#define BYTES(array) array, sizeof(array)
#define BUFFER	1200			/* bytes */
#define LARGE	(1024 * 1024)	/* bytes */
#define PAGE	"docs/design/field-format.md"

static KmsXaes *xaes;
static KmsFieldHead head = {.version = 1};
static unsigned char nonce[KMS_XAES_NONCE_SIZE];

/* Decrypt from and to memory of the very size; anything but OK is wiped. */
static KmsStatus
decrypt(const unsigned char *value, size_t len, const unsigned char *context,
		size_t context_len, const unsigned char *plain)
{
	size_t		out_len = len > KMS_FIELD_VALUE_OVERHEAD ?
	len - KMS_FIELD_VALUE_OVERHEAD : 0;
	unsigned char *copy = malloc(len);
	unsigned char *out = malloc(out_len > 0 ? out_len : 1);
	KmsStatus	status;

	memcpy(copy, value, len);
	memset(out, 0xff, out_len);
	status = kms_field_value_decrypt(xaes, copy, len, context, context_len,
									 out);
	if (status == KMS_OK && out_len > 0 &&
		(plain == NULL || memcmp(out, plain, out_len) != 0))
		status = KMS_FAILED;
	if (status != KMS_OK && !is_all(out, out_len, 0))
		status = KMS_NO_MEMORY;
	if (ERR_peek_error() != 0)
		status = KMS_BAD_KEY;
	free(copy);
	free(out);
	return status;
}

static char *
read_page(void)
{
	static char page[65536];
	FILE	   *file = fopen(PAGE, "r");
	size_t		len;

	if (file == NULL)
	{
		printf("Bail out! there is no %s\n", PAGE);
		exit(1);
	}
	len = fread(page, 1, sizeof(page) - 1, file);
	page[len] = '\0';
	fclose(file);
	return page;
}

/* Bits of the head that say that it is none give KMS_BAD_FORMAT. */
static int
count_unnoticed(unsigned char *value, size_t len, unsigned char *context,
				size_t context_len)
{
	int			unnoticed = 0;
	size_t		i;

	for (i = 0; i < 8 * len; i++)
	{
		KmsFieldHead found;
		KmsStatus	expected;

		value[i / 8] ^= (unsigned char) (1 << i % 8);
		expected = i < 24 || kms_field_value_head(value, len, &found) != KMS_OK ?
			KMS_BAD_FORMAT : KMS_REJECTED;
		if (decrypt(value, len, context, context_len, NULL) != expected)
			unnoticed++;
		value[i / 8] ^= (unsigned char) (1 << i % 8);
	}
	for (i = 0; i < 8 * context_len; i++)
	{
		context[i / 8] ^= (unsigned char) (1 << i % 8);
		if (decrypt(value, len, context, context_len, NULL) != KMS_REJECTED)
			unnoticed++;
		context[i / 8] ^= (unsigned char) (1 << i % 8);
	}
	return unnoticed;
}

static void
test_vector(const ValueVector *vector, const char *page)
{
	unsigned char context[BUFFER];
	unsigned char plain[BUFFER];
	unsigned char value[BUFFER];
	unsigned char out[BUFFER];
	KmsFieldHead found;
	size_t		context_len = from_hex(vector->context, BYTES(context));
	size_t		plain_len = from_hex(vector->plaintext, BYTES(plain));
	size_t		len = from_hex(vector->value, BYTES(value));

	head.version = vector->version;
	check(len == plain_len + KMS_FIELD_VALUE_OVERHEAD &&
		  kms_field_value_encrypt(xaes, &head, nonce, context, context_len,
								  plain, plain_len, out) == KMS_OK &&
		  memcmp(out, value, len) == 0, "%s: encrypted", vector->name);
	memset(&found, 0xff, sizeof(found));
	check(kms_field_value_head(value, len, &found) == KMS_OK &&
		  memcmp(found.id, head.id, sizeof(found.id)) == 0 &&
		  found.version == vector->version, "%s: its head", vector->name);
	check(decrypt(value, len, context, context_len, plain) == KMS_OK,
		  "%s: decrypted", vector->name);
	check_number(count_unnoticed(value, len, context, context_len), 0,
				 "any bit changed is refused");

	/* Neither end of the context may move. */
	context[context_len] = 0;
	check((context_len == KMS_FIELD_CONTEXT_MAX ||
		   decrypt(value, len, context, context_len + 1,
				   NULL) == KMS_REJECTED) &&
		  (context_len == 0 ||
		   (decrypt(value, len, context, context_len - 1,
					NULL) == KMS_REJECTED &&
			decrypt(value, len, context + 1, context_len - 1,
					NULL) == KMS_REJECTED)),
		  "%s: with a longer or shorter context", vector->name);
	value[len] = 0;
	check(decrypt(value, len + 1, context, context_len,
				  NULL) == KMS_REJECTED &&
		  decrypt(value, len - 1, context, context_len,
				  NULL) == (plain_len > 0 ? KMS_REJECTED : KMS_BAD_FORMAT),
		  "%s: longer or shorter", vector->name);
	check(strstr(page, vector->value) != NULL, "%s: in %s", vector->name,
		  PAGE);
}

static void
test_heads(void)
{
	static const struct
	{
		const char *name;
		size_t		at;
		unsigned char byte;
		KmsStatus	status;
	}			cases[] = {
		{"as it is", 0, 'k', KMS_OK},
		{"another first byte", 0, 'K', KMS_BAD_FORMAT},
		{"another second byte", 1, 'g', KMS_BAD_FORMAT},
		{"format 0", 2, 0, KMS_BAD_FORMAT},
		{"format 2, which is reserved", 2, 2, KMS_BAD_FORMAT},
		{"format 255", 2, 255, KMS_BAD_FORMAT},
		{"version 0", 12, 0, KMS_BAD_FORMAT},
		{"another id", 3, 0, KMS_OK},
		{"another version", 11, 255, KMS_OK},
		{"a tag of zeros", 52, 0, KMS_OK}
	};
	size_t		i;
	size_t		len;
	bool		ok = true;

	for (i = 0; i < LENGTH_OF(cases); i++)
	{
		unsigned char value[KMS_FIELD_VALUE_OVERHEAD];
		KmsFieldHead found;

		head.version = 1;
		if (kms_field_value_encrypt(xaes, &head, nonce, NULL, 0, NULL, 0,
									value) != KMS_OK)
			exit(2);
		value[cases[i].at] = cases[i].byte;
		memset(&found, 0xff, sizeof(found));
		check(kms_field_value_head(BYTES(value), &found) == cases[i].status &&
			  is_all(&found, sizeof(found), 0xff) ==
			  (cases[i].status != KMS_OK), "head: %s", cases[i].name);
		if (cases[i].status != KMS_OK)
			check(decrypt(BYTES(value), NULL, 0, NULL) == cases[i].status,
				  "value: %s", cases[i].name);
	}
	for (len = 0; len < KMS_FIELD_VALUE_OVERHEAD; len++)
	{
		unsigned char *value = malloc(len > 0 ? len : 1);
		KmsFieldHead found;

		memset(value, 1, len);
		if (len >= 2)
			memcpy(value, "kf", 2);
		ok = ok && kms_field_value_head(value, len, &found) == KMS_BAD_FORMAT &&
			kms_field_value_decrypt(xaes, value, len, NULL, 0,
									NULL) == KMS_BAD_FORMAT;
		free(value);
	}
	check(ok, "0 to 52 bytes are no value");
}

static void
test_limits(void)
{
	static const int versions[] = {-1, 0, KMS_FIELD_VERSION_MAX + 1, INT_MAX};
	unsigned char context[KMS_FIELD_CONTEXT_MAX + 1] = {0};
	unsigned char value[KMS_FIELD_VALUE_OVERHEAD];
	size_t		i;

	for (i = 0; i < LENGTH_OF(versions); i++)
	{
		head.version = versions[i];
		memset(value, 0x5a, sizeof(value));
		check(kms_field_value_encrypt(xaes, &head, nonce, NULL, 0, NULL, 0,
									  value) == KMS_BAD_FORMAT &&
			  is_all(BYTES(value), 0x5a), "no version %d", versions[i]);
	}
	head.version = KMS_FIELD_VERSION_MAX;
	check(kms_field_value_encrypt(xaes, &head, nonce, BYTES(context), NULL, 0,
								  value) == KMS_TOO_LONG &&
		  kms_field_value_encrypt(xaes, &head, nonce, NULL, 0, NULL, INT_MAX,
								  value) == KMS_TOO_LONG &&
		  is_all(BYTES(value), 0x5a),
		  "too long a context or plaintext, and nothing is written");
	check(kms_field_value_encrypt(xaes, &head, nonce, context,
								  KMS_FIELD_CONTEXT_MAX, NULL, 0,
								  value) == KMS_OK &&
		  decrypt(BYTES(value), context, KMS_FIELD_CONTEXT_MAX,
				  NULL) == KMS_OK,
		  "the longest context");
	check(decrypt(BYTES(value), BYTES(context), NULL) == KMS_TOO_LONG,
		  "a longer one opens nothing");
}

/* Neither the key of another version nor another nonce opens a value. */
static void
test_other_key(void)
{
	unsigned char other_key[KMS_XAES_KEY_SIZE] = {0};
	unsigned char value[KMS_FIELD_VALUE_OVERHEAD + 1];
	KmsXaes    *usual = xaes;

	head.version = 2;
	if (kms_field_value_encrypt(xaes, &head, nonce, NULL, 0,
								(const unsigned char *) "x", 1,
								value) != KMS_OK ||
		kms_xaes_new(other_key, &xaes) != KMS_OK)
		exit(2);
	check(decrypt(BYTES(value), NULL, 0, NULL) == KMS_REJECTED,
		  "the key of another version does not open a value");
	kms_xaes_free(xaes);
	xaes = usual;
}

/* Encrypt from and to memory of the very size, and decrypt. */
static bool
goes_round(const unsigned char *bytes, size_t len, size_t context_len)
{
	size_t		size = len + KMS_FIELD_VALUE_OVERHEAD;
	unsigned char *in = malloc(len > 0 ? len : 1);
	unsigned char *context = malloc(context_len > 0 ? context_len : 1);
	unsigned char *value = malloc(size);
	bool		ok;

	memcpy(in, bytes, len);
	memcpy(context, bytes, context_len);
	head.version = 1 + (int) len % KMS_FIELD_VERSION_MAX;
	ok = kms_field_value_encrypt(xaes, &head, nonce, context, context_len, in,
								 len, value) == KMS_OK &&
		ERR_peek_error() == 0 &&
		decrypt(value, size, context, context_len, bytes) == KMS_OK;
	value[size - 1] ^= 1;
	ok = ok && decrypt(value, size, context, context_len,
					   bytes) == KMS_REJECTED;
	free(in);
	free(context);
	free(value);
	return ok;
}

static void
test_lengths(void)
{
	unsigned char *bytes = malloc(LARGE);
	bool		ok = true;
	size_t		i;

	if (RAND_bytes(bytes, LARGE) != 1)
		exit(2);
	for (i = 0; i <= 65; i++)
		ok = ok && goes_round(bytes, i, 15 * i) && goes_round(bytes, i, i);
	check(ok, "0 to 65 bytes, with contexts of several lengths");
	check(goes_round(bytes, LARGE, KMS_FIELD_CONTEXT_MAX), "1 MB");
	free(bytes);
}

int
main(void)
{
	unsigned char key[KMS_XAES_KEY_SIZE];
	const char *page = read_page();
	size_t		i;

	(void) from_hex(FIELD_KEY, BYTES(key));
	(void) from_hex(FIELD_ID, BYTES(head.id));
	(void) from_hex(FIELD_NONCE, BYTES(nonce));
	if (kms_xaes_new(key, &xaes) != KMS_OK)
		exit(2);
	check(strstr(page, FIELD_KEY) != NULL && strstr(page, FIELD_ID) != NULL &&
		  strstr(page, FIELD_NONCE) != NULL &&
		  strstr(page, FIELD_INDEX_KEY) != NULL, "the keys are in %s", PAGE);
	for (i = 0; i < LENGTH_OF(value_vectors); i++)
		test_vector(&value_vectors[i], page);
	for (i = 0; i < LENGTH_OF(index_vectors); i++)
		check(strstr(page, index_vectors[i].index) != NULL,
			  "index of %s: in %s", index_vectors[i].name, PAGE);
	test_heads();
	test_limits();
	test_other_key();
	test_lengths();
	kms_xaes_free(xaes);
	return tap_done();
}
