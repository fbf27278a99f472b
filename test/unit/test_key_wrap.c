/*
 * AES key wrap with the vectors of RFC 3394, and the choice without a branch
 * that takes other bytes if a wrap is not authentic.
 */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/constant_time.h"
#include "crypto/key_wrap.h"
#include "hex.h"
#include "tap.h"

#define BYTES(array) array, sizeof(array)
#define SIZE_MAX_TRIED (KMS_KEY_WRAP_MAX + 16)

typedef struct WrapVector
{
	const char *section;
	const char *kek;
	const char *key;
	const char *wrapped;
} WrapVector;

#define KEK_128 "000102030405060708090a0b0c0d0e0f"
#define KEK_192 KEK_128 "1011121314151617"
#define KEK_256 KEK_192 "18191a1b1c1d1e1f"
#define KEY_128 "00112233445566778899aabbccddeeff"

static const WrapVector vectors[] = {
	{"4.1", KEK_128, KEY_128,
	"1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"},
	{"4.2", KEK_192, KEY_128,
	"96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"},
	{"4.3", KEK_256, KEY_128,
	"64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"},
	{"4.4", KEK_192, KEY_128 "0001020304050607",
	"031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2"},
	{"4.5", KEK_256, KEY_128 "0001020304050607",
	"a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1"},
	{"4.6", KEK_256, KEY_128 KEK_128,
		"28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326"
	"cbc7f0e71a99f43bfb988b9b7a02dd21"}
};

static const unsigned char instead[KMS_KEY_WRAP_MAX] = {
	1, 2, 3, 4, 5, 6, 7, 8
};

/* From and to memory of the very size. */
static KmsStatus
unwrap(const unsigned char *kek, size_t kek_len, const unsigned char *in,
	   size_t size, unsigned char *key)
{
	unsigned char *copy = malloc(size + KMS_KEY_WRAP_OVERHEAD);
	unsigned char *other = malloc(size > 0 ? size : 1);
	unsigned char *out = malloc(size > 0 ? size : 1);
	KmsStatus	status;

	memcpy(copy, in, size + KMS_KEY_WRAP_OVERHEAD);
	memset(other, 0, size);
	memcpy(other, instead, size < sizeof(instead) ? size : sizeof(instead));
	memset(out, 0xff, size);
	status = kms_key_wrap_open_or(kek, kek_len, copy, other, size, out);
	memcpy(key, out, size);
	if (ERR_peek_error() != 0)
		check(false, "an error is left");
	free(copy);
	free(other);
	free(out);
	return status;
}

static void
test_vector(const WrapVector *vector)
{
	unsigned char kek[32];
	unsigned char key[KMS_KEY_WRAP_MAX];
	unsigned char expected[KMS_KEY_WRAP_MAX + KMS_KEY_WRAP_OVERHEAD];
	unsigned char out[KMS_KEY_WRAP_MAX + KMS_KEY_WRAP_OVERHEAD];
	size_t		kek_len = from_hex(vector->kek, BYTES(kek));
	size_t		size = from_hex(vector->key, BYTES(key));
	size_t		len = from_hex(vector->wrapped, BYTES(expected));
	bool		ok = true;
	size_t		i;

	check(kms_key_wrap(kek, kek_len, key, size, out) == KMS_OK &&
		  len == size + KMS_KEY_WRAP_OVERHEAD &&
		  memcmp(out, expected, len) == 0, "RFC 3394, %s: wrapped",
		  vector->section);
	check(unwrap(kek, kek_len, expected, size, out) == KMS_OK &&
		  memcmp(out, key, size) == 0, "RFC 3394, %s: opened",
		  vector->section);
	for (i = 0; i < 8 * len; i++)
	{
		expected[i / 8] ^= (unsigned char) (1 << i % 8);
		ok = ok && unwrap(kek, kek_len, expected, size, out) == KMS_OK &&
			memcmp(out, instead, size) == 0;
		expected[i / 8] ^= (unsigned char) (1 << i % 8);
	}
	check(ok, "RFC 3394, %s: any bit changed gives the other bytes",
		  vector->section);
	kek[0] ^= 1;
	check(unwrap(kek, kek_len, expected, size, out) == KMS_OK &&
		  memcmp(out, instead, size) == 0,
		  "RFC 3394, %s: so does another key", vector->section);
}

static void
test_sizes(void)
{
	unsigned char kek[32];
	unsigned char key[SIZE_MAX_TRIED] = {0};
	unsigned char wrapped[SIZE_MAX_TRIED + KMS_KEY_WRAP_OVERHEAD] = {0};
	unsigned char out[SIZE_MAX_TRIED];
	size_t		size;
	bool		ok = true;

	if (RAND_bytes(BYTES(kek)) != 1 || RAND_bytes(BYTES(key)) != 1)
		exit(2);
	for (size = 0; size <= SIZE_MAX_TRIED; size++)
	{
		bool		good = size >= 16 && size <= KMS_KEY_WRAP_MAX &&
		size % 8 == 0;

		memset(wrapped, 0xff, sizeof(wrapped));
		ok = ok && kms_key_wrap(kek, 32, key, size,
								wrapped) == (good ? KMS_OK : KMS_FAILED);
		ok = ok && is_all(wrapped, size + KMS_KEY_WRAP_OVERHEAD, 0) == !good;
		ok = ok && !is_all(wrapped + size, KMS_KEY_WRAP_OVERHEAD, 0xff);
		ok = ok && unwrap(kek, 32, wrapped, size, out) ==
			(good ? KMS_OK : KMS_FAILED);
		ok = ok && (good ? memcmp(out, key, size) == 0 : is_all(out, size, 0));
	}
	check(ok, "all sizes, good and bad");
	for (size = 0; size <= 40; size++)
	{
		bool		good = size == 16 || size == 24 || size == 32;
		unsigned char longer[40] = {0};

		memcpy(longer, kek, sizeof(kek));
		ok = ok && (kms_key_wrap(longer, size, key, 16,
								 wrapped) == KMS_OK) == good;
		ok = ok && (unwrap(longer, size, wrapped, 16, out) == KMS_OK) == good;
	}
	check(ok, "all sizes of the wrapping key, good and bad");
}

static void
test_constant_time(void)
{
	static const size_t values[] = {
		0, 1, 2, 32, 255, 256, (size_t) -1, (size_t) -2, (size_t) 1 << 31,
		(size_t) 1 << (8 * sizeof(size_t) - 1)
	};
	static const unsigned char yes[] = {0x00, 0xff, 0xaa, 0x12};
	static const unsigned char no[] = {0xff, 0x00, 0x55, 0x34};
	unsigned char out[sizeof(yes) + 1];
	bool		ok = true;
	size_t		i;
	size_t		j;

	for (i = 0; i < LENGTH_OF(values); i++)
	{
		for (j = 0; j < LENGTH_OF(values); j++)
			ok = ok && kms_constant_time_equal(values[i], values[j]) ==
				(i == j ? (KmsBitMask) -1 : 0);
	}
	check(ok, "the mask of two numbers");
	out[sizeof(yes)] = 0x77;
	kms_constant_time_select((KmsBitMask) -1, yes, no, out, sizeof(yes));
	check(memcmp(out, yes, sizeof(yes)) == 0, "the first is selected");
	kms_constant_time_select(0, yes, no, out, sizeof(yes));
	check(memcmp(out, no, sizeof(no)) == 0 && out[sizeof(yes)] == 0x77,
		  "the second is selected");
}

int
main(void)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(vectors); i++)
		test_vector(&vectors[i]);
	test_sizes();
	test_constant_time();
	return tap_done();
}
