/*
 * Folds byte by byte, blind indexes with the vectors of field_vectors.h, and
 * every refusal.
 */
#include <limits.h>

#include <openssl/err.h>

#include "allocations.h"
#include "crypto/blind_index.h"
#include "crypto/field_value.h"
#include "field_vectors.h"
#include "hex.h"
#include "tap.h"

#define BYTES(array) array, sizeof(array)
#define CHARACTERS(text) (const unsigned char *) (text), strlen(text)
#define BUFFER	512				/* bytes */
#define LARGE	(1024 * 1024)	/* bytes */

static unsigned char key[KMS_BLIND_INDEX_KEY_SIZE];
static unsigned char id[KMS_FIELD_ID_SIZE];

static void
test_names(void)
{
	static const char *const unknown[] = {
		"", "None", "DIGITS", "digit", "digits ", "alnum1", "lower"
	};
	KmsFold		fold;
	int			i;
	size_t		j;

	for (i = 0; i < KMS_FOLD_COUNT; i++)
	{
		const char *name = kms_fold_name((KmsFold) i);

		fold = (KmsFold) 77;
		check(kms_fold_by_name(name, &fold) && (int) fold == i &&
			  strlen(name) <= KMS_FOLD_NAME_MAX, "fold \"%s\"", name);
	}
	for (j = 0; j < LENGTH_OF(unknown); j++)
	{
		fold = (KmsFold) 77;
		check(!kms_fold_by_name(unknown[j], &fold) && (int) fold == 77,
			  "no fold \"%s\"", unknown[j]);
	}
}

static void
test_folds(void)
{
	static const char *const kept[KMS_FOLD_COUNT] = {
		[KMS_FOLD_DIGITS] = "0123456789",
		[KMS_FOLD_ALNUM] = "0123456789"
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
	};
	unsigned char all[256];
	unsigned char out[256];
	int			i;

	for (i = 0; i < 256; i++)
		all[i] = (unsigned char) i;
	for (i = 0; i < KMS_FOLD_COUNT; i++)
	{
		size_t		len = kms_fold((KmsFold) i, BYTES(all), out);

		check(kept[i] == NULL ? len == 256 && memcmp(out, all, 256) == 0 :
			  len == strlen(kept[i]) && memcmp(out, kept[i], len) == 0,
			  "%s: all bytes", kms_fold_name((KmsFold) i));
		check(kms_fold((KmsFold) i, NULL, 0, NULL) == 0, "%s: none",
			  kms_fold_name((KmsFold) i));
		memcpy(out, all, 256);
		check(kms_fold((KmsFold) i, out, 256, out) == len &&
			  (kept[i] == NULL || memcmp(out, kept[i], len) == 0),
			  "%s: in place", kms_fold_name((KmsFold) i));
	}
}

/* Memory of the very size, and the text must stay as it is. */
static KmsStatus
compute(const unsigned char *scope, size_t scope_len, KmsFold fold,
		const unsigned char *text, size_t len, unsigned char *out)
{
	unsigned char *copy = malloc(len > 0 ? len : 1);
	unsigned char *index = malloc(KMS_BLIND_INDEX_MAX);
	KmsStatus	status;

	memcpy(copy, text, len);
	memset(index, 0xff, KMS_BLIND_INDEX_MAX);
	status = kms_blind_index(key, id, scope, scope_len, fold, copy, len,
							 index);
	if (memcmp(copy, text, len) != 0 ||
		(status != KMS_OK && !is_all(index, KMS_BLIND_INDEX_MAX, 0)))
		status = KMS_BAD_KEY;
	if (ERR_peek_error() != 0)
		status = KMS_BAD_LENGTH;
	memcpy(out, index, KMS_BLIND_INDEX_MAX);
	free(copy);
	free(index);
	return status;
}

static void
test_vector(const IndexVector *vector)
{
	unsigned char scope[BUFFER];
	unsigned char text[BUFFER];
	unsigned char expected[BUFFER];
	unsigned char out[KMS_BLIND_INDEX_MAX];
	size_t		scope_len = from_hex(vector->scope, BYTES(scope));
	size_t		len = from_hex(vector->text, BYTES(text));
	int			same = 0;
	size_t		i;

	check(from_hex(vector->index, BYTES(expected)) == sizeof(out) &&
		  compute(scope, scope_len, vector->fold, text, len, out) == KMS_OK &&
		  memcmp(out, expected, sizeof(out)) == 0, "index of %s",
		  vector->name);

	for (i = 0; i < 8 * (sizeof(key) + sizeof(id) + scope_len); i++)
	{
		unsigned char *byte = i < 8 * sizeof(key) ? &key[i / 8] :
		i < 8 * (sizeof(key) + sizeof(id)) ? &id[i / 8 - sizeof(key)] :
		&scope[i / 8 - sizeof(key) - sizeof(id)];

		*byte ^= (unsigned char) (1 << i % 8);
		if (compute(scope, scope_len, vector->fold, text, len,
					out) != KMS_OK || memcmp(out, expected, sizeof(out)) == 0)
			same++;
		*byte ^= (unsigned char) (1 << i % 8);
	}
	check_number(same, 0, "each bit of key, id and scope matters");
}

/* No two of these may have the same index. */
static void
test_differences(void)
{
	static const struct
	{
		const char *scope;
		KmsFold		fold;
		const char *text;
	}			cases[] = {
		{"ab", KMS_FOLD_NONE, "12"},
		{"a", KMS_FOLD_NONE, "b12"},
		{"ab1", KMS_FOLD_NONE, "2"},
		{"ab", KMS_FOLD_DIGITS, "12"},
		{"ab", KMS_FOLD_ALNUM, "12"},
		{"ab", KMS_FOLD_NONE, "12 "},
		{"ab", KMS_FOLD_NONE, ""},
		{"abnone", KMS_FOLD_NONE, "12"},
		{"AB", KMS_FOLD_NONE, "12"}
	};
	unsigned char found[LENGTH_OF(cases)][KMS_BLIND_INDEX_MAX];
	int			same = 0;
	size_t		i;
	size_t		j;

	for (i = 0; i < LENGTH_OF(cases); i++)
	{
		if (compute(CHARACTERS(cases[i].scope), cases[i].fold,
					CHARACTERS(cases[i].text), found[i]) != KMS_OK)
			same++;
		for (j = 0; j < i; j++)
		{
			if (memcmp(found[i], found[j], KMS_BLIND_INDEX_MAX) == 0)
				same++;
		}
	}
	check_number(same, 0, "scope, fold and text cannot be divided otherwise");
}

static void
test_equal(void)
{
	static const unsigned char nul[] = {'4', 0, '2'};
	unsigned char plain[KMS_BLIND_INDEX_MAX];
	unsigned char other[KMS_BLIND_INDEX_MAX];

	check(compute(CHARACTERS("s"), KMS_FOLD_DIGITS, CHARACTERS("42"),
				  plain) == KMS_OK &&
		  compute(CHARACTERS("s"), KMS_FOLD_DIGITS, CHARACTERS(" 4-2\303\251"),
				  other) == KMS_OK && memcmp(plain, other, sizeof(plain)) == 0,
		  "texts that fold to the same have the same index");
	check(compute(CHARACTERS("s"), KMS_FOLD_DIGITS, BYTES(nul),
				  other) == KMS_OK && memcmp(plain, other, sizeof(plain)) == 0,
		  "a NUL is one of the bytes that are left out");
	check(compute(CHARACTERS("s"), KMS_FOLD_NONE, CHARACTERS("4"),
				  plain) == KMS_OK &&
		  compute(CHARACTERS("s"), KMS_FOLD_NONE, BYTES(nul),
				  other) == KMS_OK && memcmp(plain, other, sizeof(plain)) != 0,
		  "a NUL ends no text");
}

static void
test_limits(void)
{
	static const size_t bad_lens[] = {0, KMS_BLIND_INDEX_SCOPE_MAX + 1};
	unsigned char scope[KMS_BLIND_INDEX_SCOPE_MAX + 1] = {0};
	unsigned char out[KMS_BLIND_INDEX_MAX];
	unsigned char *text = malloc(LARGE);
	int			fold;
	size_t		i;

	for (i = 0; i < LENGTH_OF(bad_lens); i++)
		check(compute(scope, bad_lens[i], KMS_FOLD_NONE, scope, 1,
					  out) == KMS_BAD_FORMAT, "a scope of %d bytes",
			  (int) bad_lens[i]);
	memset(text, 'A', LARGE);
	for (fold = 0; fold < KMS_FOLD_COUNT; fold++)
		check(compute(scope, KMS_BLIND_INDEX_SCOPE_MAX, (KmsFold) fold, text,
					  LARGE, out) == KMS_OK, "1 MB, %s",
			  kms_fold_name((KmsFold) fold));
	memset(out, 0xff, sizeof(out));
	check(kms_blind_index(key, id, scope, 1, KMS_FOLD_NONE, text,
						  (size_t) INT_MAX + 1, out) == KMS_TOO_LONG &&
		  is_all(BYTES(out), 0), "2 GB are too long");
	free(text);
}

static void
test_no_memory(void)
{
	unsigned char out[KMS_BLIND_INDEX_MAX];
	KmsStatus	status = KMS_NO_MEMORY;
	int			bad = 0;
	int			n;

	for (n = 0; status != KMS_OK && n < 100; n++)
	{
		memset(out, 0xff, sizeof(out));
		allocations_left = n;
		status = kms_blind_index(key, id, CHARACTERS("s"), KMS_FOLD_ALNUM,
								 CHARACTERS("text"), out);
		allocations_left = -1;
		if (ERR_peek_error() != 0 || (n == 0 && status != KMS_NO_MEMORY) ||
			is_all(BYTES(out), 0) != (status != KMS_OK))
			bad++;
	}
	check(status == KMS_OK && n > 2 && bad == 0,
		  "any of %d allocations may fail", n - 1);
}

int
main(void)
{
	size_t		i;

	count_allocations();
	(void) from_hex(FIELD_INDEX_KEY, BYTES(key));
	(void) from_hex(FIELD_ID, BYTES(id));
	test_names();
	test_folds();
	for (i = 0; i < LENGTH_OF(index_vectors); i++)
		test_vector(&index_vectors[i]);
	test_differences();
	test_equal();
	test_limits();
	test_no_memory();
	return tap_done();
}
