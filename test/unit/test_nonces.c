/*
 * Batches of nonces: none comes twice or stays in the batch, and a failing
 * CSPRNG gives none.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/nonces.h"
#include "tap.h"

#define DRAWS 100000

static int	result_of_rand;

static int
rand_fails(unsigned char *out, int len)
{
	(void) out;
	(void) len;
	ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
	return result_of_rand;
}

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, KMS_XAES_NONCE_SIZE);
}

static void
test_draws(void)
{
	unsigned char (*drawn)[KMS_XAES_NONCE_SIZE] = malloc(DRAWS * sizeof(*drawn));
	KmsNonces	nonces = {.left = 0};
	int			bad = 0;
	int			twice = 0;
	int			i;

	for (i = 0; i < DRAWS; i++)
	{
		if (kms_nonces_next(&nonces, drawn[i]) != KMS_OK ||
			is_all(drawn[i], KMS_XAES_NONCE_SIZE, 0) ||
			nonces.left != KMS_NONCES_BATCH - 1 - i % KMS_NONCES_BATCH ||
			!is_all(nonces.bytes + nonces.left * KMS_XAES_NONCE_SIZE,
					(KMS_NONCES_BATCH - nonces.left) * KMS_XAES_NONCE_SIZE, 0))
			bad++;
	}
	check_number(bad, 0, "what is handed out is no longer in the batch");
	qsort(drawn, DRAWS, sizeof(*drawn), compare);
	for (i = 1; i < DRAWS; i++)
	{
		if (compare(drawn[i - 1], drawn[i]) == 0)
			twice++;
	}
	check_number(twice, 0, "no nonce comes twice in 100,000");
	free(drawn);
}

/* All bits of a nonce are random: each is set in some and not in others. */
static void
test_bits(void)
{
	unsigned char set[KMS_XAES_NONCE_SIZE] = {0};
	unsigned char unset[KMS_XAES_NONCE_SIZE] = {0};
	KmsNonces	nonces = {.left = 0};
	int			i;
	int			j;

	for (i = 0; i < 1000; i++)
	{
		unsigned char nonce[KMS_XAES_NONCE_SIZE];

		(void) kms_nonces_next(&nonces, nonce);
		for (j = 0; j < KMS_XAES_NONCE_SIZE; j++)
		{
			set[j] |= nonce[j];
			unset[j] |= (unsigned char) ~nonce[j];
		}
	}
	check(is_all(set, sizeof(set), 0xff) && is_all(unset, sizeof(unset), 0xff),
		  "each bit varies");
}

static void
test_failures(void)
{
	RAND_METHOD failing = {.bytes = rand_fails};
	const RAND_METHOD *usual = RAND_get_rand_method();
	unsigned char nonce[KMS_XAES_NONCE_SIZE];
	KmsNonces	nonces = {.left = 0};
	int			lefts[] = {-1, KMS_NONCES_BATCH + 1};
	size_t		i;

	(void) RAND_set_rand_method(&failing);
	for (result_of_rand = -1; result_of_rand <= 0; result_of_rand++)
	{
		memset(nonce, 0x5a, sizeof(nonce));
		check(kms_nonces_next(&nonces, nonce) == KMS_FAILED &&
			  nonces.left == 0 && is_all(nonce, sizeof(nonce), 0) &&
			  ERR_peek_error() == 0, "RAND_bytes returns %d", result_of_rand);
	}
	(void) RAND_set_rand_method(usual);
	check(kms_nonces_next(&nonces, nonce) == KMS_OK &&
		  !is_all(nonce, sizeof(nonce), 0), "the next call tries again");

	for (i = 0; i < LENGTH_OF(lefts); i++)
	{
		nonces.left = lefts[i];
		check(kms_nonces_next(&nonces, nonce) == KMS_OK &&
			  nonces.left == KMS_NONCES_BATCH - 1 &&
			  !is_all(nonce, sizeof(nonce), 0),
			  "a count of %d means an empty batch", lefts[i]);
	}
}

int
main(void)
{
	test_draws();
	test_bits();
	test_failures();
	return tap_done();
}
