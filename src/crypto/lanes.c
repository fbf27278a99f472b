#include "crypto/lanes.h"

/*
 * A run takes about as long for one operation as for eight.  For longer keys
 * its time grows faster than that of OpenSSL, which uses AVX-512 IFMA, too.
 */
int
kms_lanes_least(size_t block_size)
{
	return block_size <= 2048 / 8 ? 3 : 5;
}

#ifdef KMS_MULTI_BUFFER

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/crypto_mb.h"
#include "crypto/key_pair_struct.h"
#include "crypto/lane_key.h"
#include "crypto/lanes_data.h"

#define PAIR_USES	32			/* as OpenSSL has it */
#define DRAWS_MAX	100			/* half of them are below the modulus */

#define NOT_TRIED	"the known answers could not be calculated"

struct KmsLanes
{
	KmsCryptoMb *library;

	/* wiped after each call */
	struct
	{
		KmsLaneBlock in[KMS_LANE_COUNT];
		KmsLaneBlock out[KMS_LANE_COUNT];
		KmsLaneBlock again[KMS_LANE_COUNT];
		uint64_t	unblind[KMS_LANE_COUNT][KMS_MONTGOMERY_MAX];
	}			work;
};

static const char *find_wrong_answer(KmsLanes *lanes);
static const char *compare_answers(KmsLanes *lanes, KmsKeyOpener *opener,
								   const KmsKnownLane *known, bool blind);
static void take_fitting(KmsLane *operations, int count, KmsLane **taken,
						 KmsLaneKeys *keys);
static KmsLaneKey *find_key(KmsKeyPair *key);
static bool is_below_modulus(const unsigned char *block,
							 const KmsLaneKey *key);
static int	renew_pairs(KmsLanes *lanes, const KmsLaneKeys *keys);
static bool is_among(const KmsLaneKey *key, const KmsLaneKeys *keys, int first);
static bool runs_out(const KmsLaneKey *key, const KmsLaneKeys *keys);
static int	make_pairs(KmsLanes *lanes, const KmsLaneKeys *keys);
static bool draw_below_modulus(const KmsLaneKey *key, unsigned char *block);
static bool product_is_1(const KmsMontgomery *modulus, const uint64_t *a,
						 const uint64_t *b);
static void leave_without_pair(KmsLane **taken, KmsLaneKeys *keys);
static int	decrypt(KmsLanes *lanes, KmsLane **taken, const KmsLaneKeys *keys,
					bool blind);
static void blind_block(KmsLaneKey *key, unsigned char *block,
						uint64_t *unblind);
static void unblind_block(const KmsLaneKey *key, const uint64_t *unblind,
						  unsigned char *block);

KmsLanes *
kms_lanes_new(const char **why_not)
{
	KmsCryptoMb *library = kms_crypto_mb_new(why_not);
	KmsLanes   *lanes = NULL;

	if (library == NULL)
		return NULL;
	*why_not = "memory is short";
	lanes = OPENSSL_zalloc(sizeof(*lanes));
	if (lanes == NULL)
	{
		kms_crypto_mb_free(library);
		return NULL;
	}
	lanes->library = library;
	*why_not = find_wrong_answer(lanes);
	if (*why_not != NULL)
	{
		kms_lanes_free(lanes);
		lanes = NULL;
	}
	return lanes;
}

/* Each size has code of its own. */
static const char *
find_wrong_answer(KmsLanes *lanes)
{
	KmsKeyOpener *opener = kms_key_pair_opener_new();
	const char *problem = opener == NULL ? NOT_TRIED : NULL;
	size_t		i;

	for (i = 0; i < sizeof(known_lanes) / sizeof(known_lanes[0]); i++)
	{
		if (problem == NULL)
			problem = compare_answers(lanes, opener, &known_lanes[i], true);
		if (problem == NULL)
			problem = compare_answers(lanes, opener, &known_lanes[i], false);
	}
	kms_key_pair_opener_free(opener);
	return problem;
}

/* Return NULL, or why the lanes cannot be used. */
static const char *
compare_answers(KmsLanes *lanes, KmsKeyOpener *opener, const KmsKnownLane *known,
				bool blind)
{
	KmsLaneBlock out[KMS_LANE_COUNT];
	KmsLane		operations[KMS_LANE_COUNT];
	KmsLane		operation = {.in = known->block};
	bool		right;
	bool		done = true;
	size_t		i;
	size_t		j;

	if (kms_key_pair_open_private(opener, KMS_TYPE_RSA, known->key,
								  known->key_len, &operation.key) != KMS_OK)
		return NOT_TRIED;
	for (i = 0; i < KMS_LANE_COUNT; i++)
	{
		operations[i] = operation;
		operations[i].out = out[i];
	}
	right = kms_lanes_decrypt(lanes, operations, KMS_LANE_COUNT, blind) == 0;
	for (i = 0; i < KMS_LANE_COUNT; i++)
	{
		done = done && operations[i].done;
		for (j = 0; operations[i].done && j < kms_key_pair_block_size(operation.key); j++)
			right = right && out[i][j] == (unsigned char) j;
	}
	kms_key_pair_free(operation.key);
	if (!right)
		return KMS_LANES_WRONG_ANSWER;
	return done ? NULL : NOT_TRIED;
}

void
kms_lanes_free(KmsLanes *lanes)
{
	if (lanes == NULL)
		return;
	kms_crypto_mb_free(lanes->library);
	OPENSSL_free(lanes);
}

int
kms_lanes_decrypt(KmsLanes *lanes, KmsLane *operations, int count, bool blind)
{
	KmsLane    *taken[KMS_LANE_COUNT];
	KmsLaneKeys keys = {.count = 0};
	int			wrong = 0;
	int			i;

	ERR_clear_error();
	take_fitting(operations, count, taken, &keys);
	if (blind)
	{
		wrong += renew_pairs(lanes, &keys);
		leave_without_pair(taken, &keys);
	}
	if (keys.count > 0)
		wrong += decrypt(lanes, taken, &keys, blind);
	for (i = 0; i < count; i++)
	{
		if (!operations[i].done)
			OPENSSL_cleanse(operations[i].out,
							kms_key_pair_block_size(operations[i].key));
	}
	OPENSSL_cleanse(&lanes->work, sizeof(lanes->work));
	ERR_clear_error();
	return wrong;
}

static void
take_fitting(KmsLane *operations, int count, KmsLane **taken,
			 KmsLaneKeys *keys)
{
	int			i;

	for (i = 0; i < count; i++)
	{
		KmsLaneKey *key = find_key(operations[i].key);

		operations[i].done = false;
		if (key == NULL || !is_below_modulus(operations[i].in, key))
			continue;
		taken[keys->count] = &operations[i];
		keys->key[keys->count++] = key;
		keys->words = key->modulus.words;
	}
}

/* Return NULL if the key does not fit, or if memory is short. */
static KmsLaneKey *
find_key(KmsKeyPair *key)
{
	if (key->lane_key == NULL && !key->lane_unfit)
	{
		if (key->is_private && key->bits % 1024 == 0 &&
			key->bits >= KMS_RSA_MIN_BITS && key->bits <= KMS_RSA_MAX_BITS)
			key->lane_key = kms_lane_key_new(key->pkey, key->bits,
											 &key->lane_unfit);
		else
			key->lane_unfit = true;
	}
	return key->lane_key;
}

/* 0 is refused, because its result may be n. */
static bool
is_below_modulus(const unsigned char *block, const KmsLaneKey *key)
{
	uint64_t	words[KMS_MONTGOMERY_MAX];
	uint64_t	any = 0;
	bool		below;
	int			i;

	kms_montgomery_from_bytes(block, key->modulus.words, words);
	for (i = 0; i < key->modulus.words; i++)
		any |= words[i];
	for (i = key->modulus.words - 1; i > 0; i--)
	{
		if (words[i] != key->modulus.n[i])
			break;
	}
	below = any != 0 && words[i] < key->modulus.n[i];
	OPENSSL_cleanse(words, sizeof(words));
	return below;
}

/*
 * Make a new pair for each key whose pair is not good for all blocks of the
 * key.  Return how many results were wrong; such a key is without a pair then.
 */
static int
renew_pairs(KmsLanes *lanes, const KmsLaneKeys *keys)
{
	KmsLaneKeys due = {.count = 0,.words = keys->words};
	int			i;

	for (i = 0; i < keys->count; i++)
	{
		if (!is_among(keys->key[i], keys, i) && runs_out(keys->key[i], keys))
			due.key[due.count++] = keys->key[i];
	}
	return due.count > 0 ? make_pairs(lanes, &due) : 0;
}

/* Return whether the key is among the first ones. */
static bool
is_among(const KmsLaneKey *key, const KmsLaneKeys *keys, int first)
{
	int			i;

	for (i = 0; i < first; i++)
	{
		if (keys->key[i] == key)
			return true;
	}
	return false;
}

static bool
runs_out(const KmsLaneKey *key, const KmsLaneKeys *keys)
{
	int			needed = 0;
	int			i;

	for (i = 0; i < keys->count; i++)
		needed += keys->key[i] == key;
	return key->uses < needed;
}

static int
make_pairs(KmsLanes *lanes, const KmsLaneKeys *keys)
{
	uint64_t	r[KMS_MONTGOMERY_MAX];
	uint64_t	inverse[KMS_MONTGOMERY_MAX];
	KmsLaneSet	good;
	int			wrong = 0;
	int			i;

	for (i = 0; i < keys->count; i++)
		keys->key[i]->uses = 0;
	for (i = 0; i < keys->count; i++)
	{
		if (!draw_below_modulus(keys->key[i], lanes->work.in[i]))
			return 0;
	}
	good = kms_crypto_mb_private(lanes->library, keys, KMS_LANES_INVERT,
								 lanes->work.in, lanes->work.out);
	good &= kms_crypto_mb_public(lanes->library, keys, lanes->work.in,
								 lanes->work.again);
	for (i = 0; i < keys->count; i++)
	{
		KmsLaneKey *key = keys->key[i];
		const KmsMontgomery *modulus = &key->modulus;

		kms_montgomery_from_bytes(lanes->work.in[i], modulus->words, r);
		kms_montgomery_from_bytes(lanes->work.out[i], modulus->words,
								  inverse);
		kms_montgomery_from_bytes(lanes->work.again[i], modulus->words,
								  key->blind);
		kms_montgomery_multiply(modulus, key->blind, modulus->rr, key->blind);
		kms_montgomery_multiply(modulus, inverse, modulus->rr, key->unblind);
		if ((good >> i & 1) != 0 && product_is_1(modulus, r, key->unblind))
			key->uses = PAIR_USES;
		else
			wrong++;
	}
	OPENSSL_cleanse(r, sizeof(r));
	OPENSSL_cleanse(inverse, sizeof(inverse));
	return wrong;
}

static bool
draw_below_modulus(const KmsLaneKey *key, unsigned char *block)
{
	int			draws;

	for (draws = 0; draws < DRAWS_MAX; draws++)
	{
		if (RAND_priv_bytes(block, key->modulus.words *
							(int) sizeof(uint64_t)) != 1)
			return false;
		if (is_below_modulus(block, key))
			return true;
	}
	return false;
}

/* "b" is in Montgomery form. */
static bool
product_is_1(const KmsMontgomery *modulus, const uint64_t *a,
			 const uint64_t *b)
{
	static const uint64_t one[KMS_MONTGOMERY_MAX] = {1};
	uint64_t	product[KMS_MONTGOMERY_MAX];
	bool		is_1;

	kms_montgomery_multiply(modulus, a, b, product);
	is_1 = CRYPTO_memcmp(product, one, (size_t) modulus->words *
						 sizeof(uint64_t)) == 0;

	/* If it is 1 modulo one prime only, it gives the prime away. */
	OPENSSL_cleanse(product, sizeof(product));
	return is_1;
}

static void
leave_without_pair(KmsLane **taken, KmsLaneKeys *keys)
{
	int			count = keys->count;
	int			i;

	keys->count = 0;
	for (i = 0; i < count; i++)
	{
		if (keys->key[i]->uses == 0)
			continue;
		taken[keys->count] = taken[i];
		keys->key[keys->count++] = keys->key[i];
	}
}

/* Return how many results were wrong. */
static int
decrypt(KmsLanes *lanes, KmsLane **taken, const KmsLaneKeys *keys, bool blind)
{
	size_t		size = (size_t) keys->words * sizeof(uint64_t);
	KmsLaneSet	good;
	int			wrong = 0;
	int			i;

	for (i = 0; i < keys->count; i++)
	{
		memcpy(lanes->work.in[i], taken[i]->in, size);
		if (blind)
			blind_block(keys->key[i], lanes->work.in[i],
						lanes->work.unblind[i]);
	}
	good = kms_crypto_mb_private(lanes->library, keys, KMS_LANES_DECRYPT,
								 lanes->work.in, lanes->work.out);
	for (i = 0; blind && i < keys->count; i++)
		unblind_block(keys->key[i], lanes->work.unblind[i],
					  lanes->work.out[i]);
	good &= kms_crypto_mb_public(lanes->library, keys, lanes->work.out,
								 lanes->work.again);
	for (i = 0; i < keys->count; i++)
	{
		taken[i]->done = (good >> i & 1) != 0 &&
			CRYPTO_memcmp(lanes->work.again[i], taken[i]->in, size) == 0;
		if (taken[i]->done)
			memcpy(taken[i]->out, lanes->work.out[i], size);
		else
		{
			keys->key[i]->uses = 0;
			wrong++;
		}
	}
	return wrong;
}

/*
 * Multiply a block by r^e, and keep 1 / r.  The square of the pair is that of
 * the next block.
 */
static void
blind_block(KmsLaneKey *key, unsigned char *block, uint64_t *unblind)
{
	const KmsMontgomery *modulus = &key->modulus;
	uint64_t	number[KMS_MONTGOMERY_MAX];

	kms_montgomery_from_bytes(block, modulus->words, number);
	kms_montgomery_multiply(modulus, number, key->blind, number);
	kms_montgomery_to_bytes(number, modulus->words, block);
	OPENSSL_cleanse(number, sizeof(number));

	memcpy(unblind, key->unblind, sizeof(key->unblind));
	kms_montgomery_multiply(modulus, key->blind, key->blind, key->blind);
	kms_montgomery_multiply(modulus, key->unblind, key->unblind, key->unblind);
	key->uses--;
}

static void
unblind_block(const KmsLaneKey *key, const uint64_t *unblind,
			  unsigned char *block)
{
	uint64_t	number[KMS_MONTGOMERY_MAX];

	kms_montgomery_from_bytes(block, key->modulus.words, number);
	kms_montgomery_multiply(&key->modulus, number, unblind, number);
	kms_montgomery_to_bytes(number, key->modulus.words, block);
	OPENSSL_cleanse(number, sizeof(number));
}

#else							/* KMS_MULTI_BUFFER */

KmsLanes *
kms_lanes_new(const char **why_not)
{
	*why_not = "kms was built without crypto_mb";
	return NULL;
}

void
kms_lanes_free(KmsLanes *lanes)
{
	(void) lanes;
}

int
kms_lanes_decrypt(KmsLanes *lanes, KmsLane *operations, int count, bool blind)
{
	(void) lanes;
	(void) operations;
	(void) count;
	(void) blind;
	return 0;
}

#endif							/* KMS_MULTI_BUFFER */
