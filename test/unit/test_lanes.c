/*
 * The lanes on the stand-in for crypto_mb: each size, blinded and not, with as
 * many operations as may be; and what happens if the library is wrong.
 * OpenSSL's allocations go through functions of this program, which look for
 * numbers that were not wiped.
 */
#include <malloc.h>
#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "crypto/key_pair_struct.h"
#include "crypto/lane_key.h"
#include "crypto/lanes.h"
#include "crypto/rsa_oaep.h"
#include "keys.h"
#include "stand_in.h"
#include "tap.h"

#define SIZES	3				/* of keys */
#define PIECE	16				/* bytes of a secret that are looked for */
#define BYTES(array) array, sizeof(array)

typedef unsigned char Block[KMS_RSA_MAX_BLOCK];

static KmsKeyOpener *opener;
static KmsLanes *lanes;
static KmsKeyPair *keys[SIZES];

static unsigned char secrets[8][PIECE];
static int	secret_count = 0;
static int	found = 0;
static int	looked_at = 0;

static void *
allocate(size_t size, const char *file, int line)
{
	(void) file;
	(void) line;
	return malloc(size);
}

static void
release(void *block, const char *file, int line)
{
	int			i;

	(void) file;
	(void) line;
	if (block == NULL)
		return;
	looked_at++;
	for (i = 0; i < secret_count; i++)
	{
		if (memmem(block, malloc_usable_size(block), secrets[i],
				   PIECE) != NULL)
			found++;
	}
	free(block);
}

static void *
reallocate(void *block, size_t size, const char *file, int line)
{
	size_t		old_size = block == NULL ? 0 : malloc_usable_size(block);
	void	   *copy;

	if (size == 0)
	{
		release(block, file, line);
		return NULL;
	}
	copy = malloc(size);
	if (copy != NULL && block != NULL)
	{
		memcpy(copy, block, old_size < size ? old_size : size);
		release(block, file, line);
	}
	return copy;
}

static KmsKeyPair *
open_key(const unsigned char *der, size_t len)
{
	KmsKeyPair *key = NULL;

	if (kms_key_pair_open_private(opener, KMS_TYPE_RSA, der, len,
								  &key) != KMS_OK)
	{
		printf("Bail out! a key does not open\n");
		exit(1);
	}
	return key;
}

/* Let OpenSSL decrypt a block. */
static void
decrypt_alone(const KmsKeyPair *key, const unsigned char *in,
			  unsigned char *out)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
	size_t		len = KMS_RSA_MAX_BLOCK;

	if (EVP_PKEY_decrypt_init(ctx) != 1 ||
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) != 1 ||
		EVP_PKEY_decrypt(ctx, out, &len, in, kms_key_pair_block_size(key)) != 1)
	{
		printf("Bail out! OpenSSL does not decrypt\n");
		exit(1);
	}
	EVP_PKEY_CTX_free(ctx);
}

static void
random_block(const KmsKeyPair *key, unsigned char *block)
{
	if (RAND_bytes(block, (int) kms_key_pair_block_size(key)) != 1)
		exit(1);
	block[0] &= 0x7f;
}

/* Operations on random blocks with the keys, one after the other. */
static void
prepare(KmsLane *operations, int count, KmsKeyPair **of, int of_count,
		Block *in, Block *out)
{
	int			i;

	for (i = 0; i < count; i++)
	{
		operations[i] = (KmsLane)
		{
			of[i % of_count], in[i], out[i], false
		};
		random_block(operations[i].key, in[i]);
	}
}

/* Return how many of the operations are done, and right. */
static int
count_right(const KmsLane *operations, int count)
{
	int			right = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		Block		expected;
		size_t		size = kms_key_pair_block_size(operations[i].key);

		decrypt_alone(operations[i].key, operations[i].in, expected);
		right += operations[i].done &&
			memcmp(operations[i].out, expected, size) == 0;
	}
	return right;
}

static void
reset(StandInFault fault, unsigned int faulty_lanes)
{
	memset(&stand_in, 0, sizeof(stand_in));
	stand_in.fault = fault;
	stand_in.faulty_lanes = faulty_lanes;
}

/* ---- Montgomery's multiplication --------------------------------------- */

static void
to_words(const BIGNUM *number, int words, uint64_t *out)
{
	BN_bn2lebinpad(number, (unsigned char *) out, words * 8);
}

/* Random numbers, and those at the ends. */
static void
test_montgomery(int words)
{
	BN_CTX	   *ctx = BN_CTX_new();
	BN_MONT_CTX *mont = BN_MONT_CTX_new();
	BIGNUM	   *n = BN_new();
	BIGNUM	   *a = BN_new();
	BIGNUM	   *b = BN_new();
	BIGNUM	   *expected = BN_new();
	uint64_t	found_words[KMS_MONTGOMERY_MAX];
	uint64_t	a_words[KMS_MONTGOMERY_MAX];
	uint64_t	b_words[KMS_MONTGOMERY_MAX];
	int			wrong = 0;
	int			i;

	for (i = 0; i < 400; i++)
	{
		KmsMontgomery modulus = {.words = words};

		BN_rand(n, words * 64, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
		if (i % 4 == 1)			/* all bits are set but a few low ones */
		{
			BN_one(n);
			BN_lshift(n, n, words * 64);
			BN_sub_word(n, 2 * (BN_ULONG) i + 1);
		}
		BN_rand_range(a, n);
		BN_rand_range(b, n);
		if (i % 4 == 1)
			BN_sub(a, n, BN_value_one());
		if (i % 8 == 1)
			BN_copy(b, a);
		if (i % 16 == 2)
			BN_zero(a);
		if (i % 16 == 3)
			BN_one(b);
		BN_MONT_CTX_set(mont, n, ctx);
		BN_mod_mul_montgomery(expected, a, b, mont, ctx);
		to_words(n, words, modulus.n);
		to_words(a, words, a_words);
		to_words(b, words, b_words);
		wrong += !kms_montgomery_set(&modulus);
		kms_montgomery_multiply(&modulus, a_words, b_words, found_words);
		to_words(expected, words, a_words);
		wrong += memcmp(found_words, a_words, (size_t) words * 8) != 0;

		/* to the Montgomery form, in place, and back */
		BN_to_montgomery(expected, b, mont, ctx);
		to_words(expected, words, a_words);
		memcpy(found_words, b_words, sizeof(found_words));
		kms_montgomery_multiply(&modulus, found_words, modulus.rr,
								found_words);
		wrong += memcmp(found_words, a_words, (size_t) words * 8) != 0;
	}
	check_number(wrong, 0, "products are those of OpenSSL");
	BN_set_word(n, 4);
	BN_set_bit(n, words * 64 - 1);
	{
		KmsMontgomery even = {.words = words};

		to_words(n, words, even.n);
		check(!kms_montgomery_set(&even), "an even modulus is refused");
	}
	BN_free(n);
	BN_free(a);
	BN_free(b);
	BN_free(expected);
	BN_MONT_CTX_free(mont);
	BN_CTX_free(ctx);
}

/* ---- right results ----------------------------------------------------- */

static void
test_counts(KmsKeyPair **of, int of_count, bool blind, const char *name)
{
	KmsLane		operations[KMS_LANES_MOST];
	Block		in[KMS_LANES_MOST];
	Block		out[KMS_LANES_MOST];
	int			count;

	for (count = 1; count <= KMS_LANES_MOST; count++)
	{
		reset(STAND_IN_WORKS, 0);
		prepare(operations, count, of, of_count, in, out);
		check(kms_lanes_decrypt(lanes, operations, count, blind) == 0 &&
			  count_right(operations, count) == count && !stand_in.zeros,
			  "%s, %s: %d are right, and no lane has zeros", name,
			  blind ? "blinded" : "unblinded", count);
	}
}

static void
test_nothing(void)
{
	reset(STAND_IN_WORKS, 0);
	check(kms_lanes_decrypt(lanes, NULL, 0, true) == 0 &&
		  stand_in.private_runs == 0, "no operation is no run");
}

/* Look at what the library gets for equal blocks. */
static void
test_blinding(void)
{
	KmsKeyPair *key = open_key(BYTES(key_2048));
	KmsLane		operations[KMS_LANES_MOST];
	Block		in[KMS_LANES_MOST];
	Block		out[KMS_LANES_MOST];
	size_t		size = kms_key_pair_block_size(key);
	int			i;
	int			j;
	int			equal = 0;

	reset(STAND_IN_WORKS, 0);
	prepare(operations, KMS_LANES_MOST, &key, 1, in, out);
	for (i = 1; i < KMS_LANES_MOST; i++)
		memcpy(in[i], in[0], size);
	(void) kms_lanes_decrypt(lanes, operations, KMS_LANES_MOST, false);
	for (i = 0; i < KMS_LANES_MOST; i++)
		equal += memcmp(stand_in.in[i], in[0], size) == 0;
	check_number(equal, KMS_LANES_MOST, "unblinded, it sees the block");

	(void) kms_lanes_decrypt(lanes, operations, KMS_LANES_MOST, true);
	equal = 0;
	for (i = 0; i < KMS_LANES_MOST; i++)
	{
		equal += memcmp(stand_in.in[i], in[0], size) == 0;
		for (j = 0; j < i; j++)
			equal += memcmp(stand_in.in[i], stand_in.in[j], size) == 0;
	}
	check_number(equal, 0, "blinded, it sees another number each time");
	check_number(count_right(operations, KMS_LANES_MOST), KMS_LANES_MOST,
				 "and the results are right");
	kms_key_pair_free(key);
}

/* A run makes the pairs, so the runs show when that is. */
static void
test_pairs(void)
{
	static const struct
	{
		int			count;		/* of operations */
		int			runs;
	}			calls[] = {
		{3, 2}, {8, 1}, {8, 1}, {8, 1}, /* 27 uses */
		{5, 1}, {1, 2},			/* 32, then a new pair */
		{8, 1}, {8, 1}, {8, 1}, {8, 2}	/* of which 7 were left */
	};
	KmsKeyPair *key = open_key(BYTES(key_2048));
	KmsLane		operations[KMS_LANES_MOST];
	Block		in[KMS_LANES_MOST];
	Block		out[KMS_LANES_MOST];
	size_t		i;

	for (i = 0; i < LENGTH_OF(calls); i++)
	{
		reset(STAND_IN_WORKS, 0);
		prepare(operations, calls[i].count, &key, 1, in, out);
		(void) kms_lanes_decrypt(lanes, operations, calls[i].count, true);
		check(stand_in.private_runs == calls[i].runs &&
			  count_right(operations, calls[i].count) == calls[i].count,
			  "call %zu: %d with a pair take %d runs", i + 1, calls[i].count,
			  calls[i].runs);
	}
	kms_key_pair_free(key);
}

static void
test_oaep(void)
{
	KmsKeyPair *key = keys[0];
	KmsOaep		oaep = {KMS_SHA256, KMS_SHA1, (const unsigned char *) "label", 5};
	unsigned char other[16] = "other, 16 bytes";
	Block		in;
	Block		padded;
	Block		plain;
	KmsLane		operation = {key, in, padded, false};
	size_t		len;

	reset(STAND_IN_WORKS, 0);
	(void) kms_rsa_oaep_encrypt(key, &oaep, (const unsigned char *) "sixteen bytes ..", 16,
								in, &len);
	check(kms_lanes_decrypt(lanes, &operation, 1, true) == 0 &&
		  kms_rsa_oaep_decode(key, &oaep, padded, plain, &len) == KMS_OK &&
		  len == 16 && memcmp(plain, "sixteen bytes ..", 16) == 0,
		  "the padding of a result comes off");
	check(kms_rsa_oaep_decode_or(key, &oaep, padded, other, 16, plain) == KMS_OK &&
		  memcmp(plain, "sixteen bytes ..", 16) == 0, "also of a key");
	oaep.label_len = 4;
	check(kms_rsa_oaep_decode(key, &oaep, padded, plain, &len) == KMS_REJECTED &&
		  len == 0 && is_all(plain, 256, 0), "another label is rejected");
	check(kms_rsa_oaep_decode_or(key, &oaep, padded, other, 16, plain) == KMS_OK &&
		  memcmp(plain, other, 16) == 0, "and gives the other key");
}

/* ---- what the lanes leave to OpenSSL ----------------------------------- */

static KmsKeyPair *
new_key(int bits, unsigned long e)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
	BIGNUM	   *exponent = BN_new();
	EVP_PKEY   *pkey = NULL;

	BN_set_word(exponent, e);
	if (EVP_PKEY_keygen_init(ctx) != 1 ||
		EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits) != 1 ||
		EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, exponent) != 1 ||
		EVP_PKEY_keygen(ctx, &pkey) != 1)
		exit(1);
	BN_free(exponent);
	EVP_PKEY_CTX_free(ctx);
	return kms_key_pair_new(pkey, KMS_TYPE_RSA, true);
}

/* Between two that fit, so the others must not get out of order. */
static void
test_left_out(KmsKeyPair *key, const unsigned char *block, const char *name)
{
	KmsKeyPair *of[] = {keys[0], key, keys[0]};
	KmsLane		operations[3];
	Block		in[3];
	Block		out[3];

	reset(STAND_IN_WORKS, 0);
	prepare(operations, 3, of, 3, in, out);
	if (block != NULL)
		memcpy(in[1], block, kms_key_pair_block_size(key));
	memset(out[1], 1, sizeof(Block));
	check(kms_lanes_decrypt(lanes, operations, 3, true) == 0 &&
		  !operations[1].done && operations[0].done && operations[2].done &&
		  is_all(out[1], kms_key_pair_block_size(key), 0),
		  "%s is left to OpenSSL", name);
	operations[1] = operations[2];
	check_number(count_right(operations, 2), 2, "and the others are right");
}

static void
test_what_does_not_fit(void)
{
	KmsKeyPair *small_exponent = new_key(2048, 3);
	KmsKeyPair *large_exponent = new_key(2048, 0x100000001);
	KmsKeyPair *odd_size = new_key(2056, 65537);
	KmsKeyPair *public_key = NULL;
	Block		block;

	(void) kms_key_pair_open_public(opener, KMS_TYPE_RSA, BYTES(public_2048),
									&public_key);
	test_left_out(small_exponent, NULL, "a key with 3 as exponent");
	test_left_out(large_exponent, NULL, "a key with a long exponent");
	test_left_out(odd_size, NULL, "a key of 2056 bits");
	test_left_out(public_key, NULL, "a public key");
	memset(block, 0, sizeof(block));
	test_left_out(keys[0], block, "the block 0");
	memset(block, 0xff, sizeof(block));
	test_left_out(keys[0], block, "a block that is no number below the modulus");
	memcpy(block, key_2048 + 12, 256);
	test_left_out(keys[0], block, "the modulus");
	kms_key_pair_free(small_exponent);
	kms_key_pair_free(large_exponent);
	kms_key_pair_free(odd_size);
	kms_key_pair_free(public_key);
}

/* Numbers at the ends, and multiples of a prime. */
static void
test_special_blocks(bool blind)
{
	KmsKeyPair *key = keys[0];
	KmsLaneKey *lane_key = key->lane_key;	/* since its first use */
	KmsLane		operations[5];
	Block		in[5];
	Block		out[5];
	BIGNUM	   *p = BN_lebin2bn((unsigned char *) lane_key->p, 128, NULL);

	reset(STAND_IN_WORKS, 0);
	prepare(operations, 5, &key, 1, in, out);
	memset(in[0], 0, sizeof(Block));
	in[0][255] = 1;
	memset(in[1], 0, sizeof(Block));
	in[1][255] = 2;
	memcpy(in[2], key_2048 + 12, 256);	/* the modulus */
	in[2][255] -= 1;
	BN_bn2binpad(p, in[3], 256);
	BN_mul_word(p, 0x123456789);
	BN_bn2binpad(p, in[4], 256);
	check(kms_lanes_decrypt(lanes, operations, 5, blind) == 0 &&
		  count_right(operations, 5) == 5,
		  "1, 2, n - 1, p and a multiple of p are right, %s",
		  blind ? "blinded" : "unblinded");
	BN_clear_free(p);
}

/* ---- a library that is wrong ------------------------------------------- */

static void
test_fault(StandInFault fault, bool blind, const char *name)
{
	KmsKeyPair *of[] = {open_key(BYTES(key_2048)), open_key(BYTES(key_2048))};
	KmsLane		operations[5];
	Block		in[5];
	Block		out[5];
	int			i;

	/* make the pairs */
	reset(STAND_IN_WORKS, 0);
	prepare(operations, 5, of, 2, in, out);
	(void) kms_lanes_decrypt(lanes, operations, 5, true);

	reset(fault, 1 << 2);
	memset(out, 1, sizeof(out));
	check_number(kms_lanes_decrypt(lanes, operations, 5, blind), 1, name);
	check(!operations[2].done && is_all(out[2], 256, 0),
		  "its result is not used, %s", blind ? "blinded" : "unblinded");
	operations[2] = operations[4];
	check_number(count_right(operations, 4), 4, "and the others are");

	/* after which the key has no pair */
	reset(STAND_IN_WORKS, 0);
	prepare(operations, 5, of, 2, in, out);
	check(kms_lanes_decrypt(lanes, operations, 5, blind) == 0 &&
		  count_right(operations, 5) == 5 &&
		  stand_in.private_runs == (blind ? 2 : 1),
		  "the key is blinded by a new pair then");
	for (i = 0; i < 2; i++)
		kms_key_pair_free(of[i]);
}

/* The pair of the second key is wrong. */
static void
test_wrong_pair(StandInFault fault, const char *name)
{
	KmsKeyPair *of[] = {open_key(BYTES(key_2048)), open_key(BYTES(key_2048))};
	KmsLane		operations[4];
	Block		in[4];
	Block		out[4];

	reset(fault, 1 << 1);
	prepare(operations, 4, of, 2, in, out);
	check(kms_lanes_decrypt(lanes, operations, 4, true) > 0, "%s", name);
	check(!operations[1].done && !operations[3].done && operations[0].done,
		  "a key without a pair is left to OpenSSL");
	kms_key_pair_free(of[0]);
	kms_key_pair_free(of[1]);
}

static void
test_refused(bool no_processor, StandInFault fault, const char *expected)
{
	const char *why_not;

	reset(fault, 1 << 7);
	stand_in.no_processor = no_processor;
	check(kms_lanes_new(&why_not) == NULL && strcmp(why_not, expected) == 0,
		  "there are no lanes if %s", expected);
}

/* ---- memory ------------------------------------------------------------ */

static void
look_for(const void *secret)
{
	memcpy(secrets[secret_count++], secret, PIECE);
}

static void
test_wiped(void)
{
	const char *why_not;
	KmsLanes   *own;
	KmsKeyPair *key = open_key(BYTES(key_2048));
	KmsLaneKey *lane_key;
	KmsLane		operations[3];
	Block		in[3];
	Block		out[3];
	Block		expected;

	reset(STAND_IN_WORKS, 0);
	own = kms_lanes_new(&why_not);
	prepare(operations, 3, &key, 1, in, out);
	decrypt_alone(key, in[1], expected);
	(void) kms_lanes_decrypt(own, operations, 3, true);
	lane_key = key->lane_key;
	look_for(lane_key->p + 1);	/* also of p - 2 */
	look_for(lane_key->dq + 2);
	look_for(lane_key->iq + 1);
	look_for(expected + 40);
	(void) kms_lanes_decrypt(own, operations, 3, true);
	look_for(stand_in.in[1] + 8);
	look_for(lane_key->unblind);
	looked_at = 0;
	kms_lanes_free(own);
	kms_key_pair_free(key);
	check(looked_at > 5, "%d blocks are freed", looked_at);
	check_number(found, 0, "no number of the key or of a result is left");
	secret_count = 0;
}

static void
test_shared(void)
{
	KmsKeyPair *key = open_key(BYTES(key_2048));

	check(kms_key_pair_share(key) == key, "a key can be shared");
	kms_key_pair_free(key);
	check_number((long long) kms_key_pair_block_size(key), 256,
				 "and is there until it is freed once more");
	kms_key_pair_free(key);
}

/* This comes last, because the heap stays. */
static void
test_full_heap(void)
{
	KmsKeyPair *key;
	void	   *last = NULL;
	void	   *piece;
	bool		unfit;

	if (CRYPTO_secure_malloc_init(4096, 32) == 0)
		return;
	key = open_key(BYTES(key_2048));
	while ((piece = OPENSSL_secure_malloc(1024)) != NULL)
		last = piece;
	while (OPENSSL_secure_malloc(128) != NULL)
		;
	check(kms_lane_key_new(key->pkey, 2048, &unfit) == NULL && !unfit,
		  "a key without room in the secure heap is left to OpenSSL");
	OPENSSL_secure_free(last);
	key->lane_key = kms_lane_key_new(key->pkey, 2048, &unfit);
	check(key->lane_key != NULL, "but only until there is room");
	kms_key_pair_free(key);
}

int
main(void)
{
	const char *why_not;
	KmsKeyPair *two[2];
	int			words;
	int			i;

	if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1)
		return 1;
	for (words = 32; words <= 64; words += 16)
		test_montgomery(words);

	check(kms_lanes_least(256) == 3, "three operations are worth a run with 2048 bits");
	check(kms_lanes_least(384) == 5 && kms_lanes_least(512) == 5,
		  "five with more");

	opener = kms_key_pair_opener_new();
	reset(STAND_IN_WORKS, 0);
	lanes = kms_lanes_new(&why_not);
	if (!check(lanes != NULL && why_not == NULL, "there are lanes"))
		return tap_done();
	keys[0] = open_key(BYTES(key_2048));
	keys[1] = open_key(BYTES(key_3072));
	keys[2] = open_key(BYTES(key_4096));
	two[0] = keys[0];
	two[1] = new_key(2048, 65537);
	test_nothing();
	test_counts(&keys[0], 1, true, "2048");
	test_counts(&keys[0], 1, false, "2048");
	test_counts(&keys[1], 1, true, "3072");
	test_counts(&keys[1], 1, false, "3072");
	test_counts(&keys[2], 1, true, "4096");
	test_counts(&keys[2], 1, false, "4096");
	test_counts(two, 2, true, "two keys");
	test_counts(two, 2, false, "two keys");
	test_blinding();
	test_pairs();
	test_oaep();
	test_what_does_not_fit();
	test_special_blocks(true);
	test_special_blocks(false);

	test_fault(STAND_IN_WRONG_RESULT, true, "a wrong result is found");
	test_fault(STAND_IN_WRONG_RESULT, false, "a wrong result is found");
	test_fault(STAND_IN_FAILED_STATUS, true, "a failed status is found");
	test_fault(STAND_IN_WRONG_CHECK, true, "a wrong check is found");
	test_fault(STAND_IN_FAILED_CHECK, false, "a failed check is found");
	test_wrong_pair(STAND_IN_WRONG_RESULT, "a wrong inverse is found");
	test_wrong_pair(STAND_IN_FAILED_STATUS, "so is a failed one");
	test_wrong_pair(STAND_IN_WRONG_CHECK, "a wrong power is found");
	test_refused(true, STAND_IN_WORKS,
				 "the processor does not have AVX-512 IFMA");
	test_refused(false, STAND_IN_WRONG_RESULT, "a known answer differs");
	test_refused(false, STAND_IN_FAILED_STATUS, "a known answer differs");
	test_refused(false, STAND_IN_WRONG_CHECK, "a known answer differs");

	test_wiped();
	test_shared();
	for (i = 0; i < SIZES; i++)
		kms_key_pair_free(keys[i]);
	kms_key_pair_free(two[1]);
	kms_lanes_free(lanes);
	test_full_heap();
	kms_key_pair_opener_free(opener);
	return tap_done();
}
