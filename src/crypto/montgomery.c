/*
 * BN_mod_mul_montgomery() does the same, but then looks for the highest word
 * that is not 0, so its time depends on the product.  Of an unblinded number
 * that must not show (CVE-2022-4304); the functions with which OpenSSL itself
 * avoids it are not public.
 */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>

#include "crypto/montgomery.h"

#include "crypto/constant_time.h"

bool
kms_montgomery_set(KmsMontgomery *modulus)
{
	int			size = modulus->words * (int) sizeof(uint64_t);
	BIGNUM	   *n = BN_lebin2bn((unsigned char *) modulus->n, size, NULL);
	BIGNUM	   *rr = BN_new();
	BN_CTX	   *ctx = BN_CTX_new();
	uint64_t	inverse = 1;
	bool		ok = false;
	int			i;

	if (n == NULL || rr == NULL || ctx == NULL || !BN_is_odd(n))
		goto done;
	if (BN_set_bit(rr, 2 * 8 * size) != 1 || BN_mod(rr, rr, n, ctx) != 1)
		goto done;
	if (BN_bn2lebinpad(rr, (unsigned char *) modulus->rr, size) != size)
		goto done;

	/* Newton's iteration: each step doubles the bits that are right */
	for (i = 0; i < 6; i++)
		inverse *= 2 - modulus->n[0] * inverse;
	modulus->n0 = 0 - inverse;
	ok = true;

done:
	BN_free(n);
	BN_free(rr);
	BN_CTX_free(ctx);
	return ok;
}

void
kms_montgomery_from_bytes(const unsigned char *bytes, int words,
						  uint64_t *out)
{
	int			i;

	for (i = 0; i < words; i++)
	{
		uint64_t	word;

		memcpy(&word, bytes + (words - 1 - i) * (int) sizeof(word),
			   sizeof(word));
		out[i] = __builtin_bswap64(word);
	}
}

void
kms_montgomery_to_bytes(const uint64_t *number, int words, unsigned char *out)
{
	int			i;

	for (i = 0; i < words; i++)
	{
		uint64_t	word = __builtin_bswap64(number[words - 1 - i]);

		memcpy(out + i * (int) sizeof(word), &word, sizeof(word));
	}
}

/* Not each machine has this type, but each one on which the lanes can be. */
#ifdef KMS_MULTI_BUFFER

typedef unsigned __int128 Product;

static void subtract_if_greater(const KmsMontgomery *modulus,
								const uint64_t *a, uint64_t top, uint64_t *out);

/*
 * Multiply by one word after the other, and make the sum divisible by 2^64
 * after each ("CIOS" in Koc, Acar and Kaliski, 1996).
 */
void
kms_montgomery_multiply(const KmsMontgomery *modulus, const uint64_t *a,
						const uint64_t *b, uint64_t *out)
{
	const int	words = modulus->words;
	const uint64_t *n = modulus->n;
	uint64_t	sum[KMS_MONTGOMERY_MAX + 2] = {0};
	int			i;
	int			j;

	for (i = 0; i < words; i++)
	{
		Product		t = 0;
		uint64_t	m;

		for (j = 0; j < words; j++)
		{
			t = (Product) a[j] * b[i] + sum[j] + (uint64_t) (t >> 64);
			sum[j] = (uint64_t) t;
		}
		t = (t >> 64) + sum[words];
		sum[words] = (uint64_t) t;
		sum[words + 1] = (uint64_t) (t >> 64);

		m = sum[0] * modulus->n0;
		t = (Product) m * n[0] + sum[0];
		for (j = 1; j < words; j++)
		{
			t = (Product) m * n[j] + sum[j] + (uint64_t) (t >> 64);
			sum[j - 1] = (uint64_t) t;
		}
		t = (t >> 64) + sum[words];
		sum[words - 1] = (uint64_t) t;
		sum[words] = sum[words + 1] + (uint64_t) (t >> 64);
	}
	subtract_if_greater(modulus, sum, sum[words], out);
	OPENSSL_cleanse(sum, sizeof(sum));
}

/* Subtract n from a number less than 2n, whose highest word is "top". */
static void
subtract_if_greater(const KmsMontgomery *modulus, const uint64_t *a,
					uint64_t top, uint64_t *out)
{
	uint64_t	less[KMS_MONTGOMERY_MAX];
	uint64_t	borrow = 0;
	int			i;

	for (i = 0; i < modulus->words; i++)
	{
		Product		t = (Product) a[i] - modulus->n[i] - borrow;

		less[i] = (uint64_t) t;
		borrow = (uint64_t) (t >> 64) & 1;
	}

	/* there is a top word or no borrow, if the number was not less than n */
	kms_constant_time_select(kms_constant_time_equal(top, borrow),
							 (unsigned char *) less,
							 (const unsigned char *) a, (unsigned char *) out,
							 (size_t) modulus->words * sizeof(uint64_t));
	OPENSSL_cleanse(less, sizeof(less));
}

#endif							/* KMS_MULTI_BUFFER */
