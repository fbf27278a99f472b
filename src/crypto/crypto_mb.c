/*
 * The library takes eight blocks and eight keys of one size at a time.  If
 * there are fewer, the rest of the lanes get copies of them, because the
 * library was not made for zeros.
 *
 * Of the library's two interfaces, this is the one that calculates in the
 * caller's memory.  The other one leaves intermediate results on the stack.
 */
#include "crypto/crypto_mb.h"

#ifdef KMS_MULTI_BUFFER

#include <crypto_mb/cpu_features.h>
#include <crypto_mb/rsa.h>

#include <openssl/crypto.h>

#define MAX_BITS	(KMS_MONTGOMERY_MAX * 64)
#define STACK_SIZE	32768		/* bytes; the library uses at most 16384 */

struct KmsCryptoMb
{
	unsigned char *buffer;		/* wiped after each run */
	size_t		buffer_size;	/* for the longest modulus */
	uint64_t	dp[KMS_LANE_COUNT][KMS_LANE_KEY_FACTOR_MAX];
	uint64_t	dq[KMS_LANE_COUNT][KMS_LANE_KEY_FACTOR_MAX];
};

static const char *find_obstacle(void);
static void subtract_2(const uint64_t *words, int count, uint64_t *out);
static void point_at(const KmsLaneKeys *keys, KmsLaneBlock *in,
					 KmsLaneBlock *out, const int8u **from, int8u **to);
static KmsLaneSet good_lanes(mbx_status status);
static void wipe_stack(void);

KmsCryptoMb *
kms_crypto_mb_new(const char **why_not)
{
	KmsCryptoMb *library;

	*why_not = find_obstacle();
	if (*why_not != NULL)
		return NULL;
	*why_not = "memory is short";
	library = OPENSSL_zalloc(sizeof(*library));
	if (library == NULL)
		return NULL;
	library->buffer_size = (size_t)
		mbx_RSA_Method_BufSize(mbx_RSA_private_crt_Method(MAX_BITS));
	library->buffer = OPENSSL_zalloc(library->buffer_size);
	if (library->buffer == NULL)
	{
		kms_crypto_mb_free(library);
		return NULL;
	}
	*why_not = NULL;
	return library;
}

static const char *
find_obstacle(void)
{
	static const enum MBX_ALGO sizes[] = {
		MBX_ALGO_RSA_2K, MBX_ALGO_RSA_3K, MBX_ALGO_RSA_4K
	};
	size_t		i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		if ((mbx_get_algo_info(sizes[i]) & MBX_WIDTH_MB8) == 0)
			return "the processor does not have AVX-512 IFMA";
	}
	return NULL;
}

void
kms_crypto_mb_free(KmsCryptoMb *library)
{
	if (library == NULL)
		return;
	OPENSSL_free(library->buffer);
	OPENSSL_free(library);
}

KmsLaneSet
kms_crypto_mb_private(KmsCryptoMb *library, const KmsLaneKeys *keys,
					  KmsLaneExponents exponents, KmsLaneBlock *in,
					  KmsLaneBlock *out)
{
	int			bits = keys->words * 64;
	int			half = keys->words / 2;
	const mbx_RSA_Method *method = mbx_RSA_private_crt_Method(bits);
	const int8u *from[KMS_LANE_COUNT];
	int8u	   *to[KMS_LANE_COUNT];
	const int64u *p[KMS_LANE_COUNT];
	const int64u *q[KMS_LANE_COUNT];
	const int64u *dp[KMS_LANE_COUNT];
	const int64u *dq[KMS_LANE_COUNT];
	const int64u *iq[KMS_LANE_COUNT];
	mbx_status	status;
	int			i;

	point_at(keys, in, out, from, to);
	for (i = 0; i < KMS_LANE_COUNT; i++)
	{
		const KmsLaneKey *key = keys->key[i % keys->count];

		if (exponents == KMS_LANES_INVERT)
		{
			subtract_2(key->p, half, library->dp[i]);
			subtract_2(key->q, half, library->dq[i]);
		}
		p[i] = (const int64u *) key->p;
		q[i] = (const int64u *) key->q;
		dp[i] = (const int64u *) (exponents == KMS_LANES_INVERT ? library->dp[i]
								  : key->dp);
		dq[i] = (const int64u *) (exponents == KMS_LANES_INVERT ? library->dq[i]
								  : key->dq);
		iq[i] = (const int64u *) key->iq;
	}
	status = mbx_rsa_private_crt_mb8(from, to, p, q, dp, dq, iq, bits, method,
									 library->buffer);
	OPENSSL_cleanse(library->buffer, library->buffer_size);
	OPENSSL_cleanse(library->dp, sizeof(library->dp));
	OPENSSL_cleanse(library->dq, sizeof(library->dq));
	wipe_stack();
	return good_lanes(status);
}

static void
subtract_2(const uint64_t *words, int count, uint64_t *out)
{
	uint64_t	borrow = 2;
	int			i;

	for (i = 0; i < count; i++)
	{
		uint64_t	less = words[i] - borrow;

		/* without a branch: whether the subtraction wrapped around */
		borrow = (~words[i] & less) >> 63;
		out[i] = less;
	}
}

/* The exponent is KMS_LANE_KEY_EXPONENT. */
KmsLaneSet
kms_crypto_mb_public(KmsCryptoMb *library, const KmsLaneKeys *keys,
					 KmsLaneBlock *in, KmsLaneBlock *out)
{
	int			bits = keys->words * 64;
	const mbx_RSA_Method *method = mbx_RSA_pub65537_Method(bits);
	const int8u *from[KMS_LANE_COUNT];
	int8u	   *to[KMS_LANE_COUNT];
	const int64u *n[KMS_LANE_COUNT];
	mbx_status	status;
	int			i;

	point_at(keys, in, out, from, to);
	for (i = 0; i < KMS_LANE_COUNT; i++)
		n[i] = (const int64u *) keys->key[i % keys->count]->modulus.n;
	status = mbx_rsa_public_mb8(from, to, n, bits, method, library->buffer);
	OPENSSL_cleanse(library->buffer, library->buffer_size);
	wipe_stack();
	return good_lanes(status);
}

static void
point_at(const KmsLaneKeys *keys, KmsLaneBlock *in, KmsLaneBlock *out,
		 const int8u **from, int8u **to)
{
	int			i;

	for (i = 0; i < KMS_LANE_COUNT; i++)
	{
		from[i] = in[i % keys->count];
		to[i] = out[i];
	}
}

static KmsLaneSet
good_lanes(mbx_status status)
{
	KmsLaneSet	good = 0;
	int			i;

	for (i = 0; i < KMS_LANE_COUNT; i++)
	{
		if (MBX_GET_STS(status, i) == MBX_STATUS_OK)
			good |= 1U << i;
	}
	return good;
}

/* Registers that did not suffice were saved there. */
static __attribute__((noinline))
void
wipe_stack(void)
{
	unsigned char stack[STACK_SIZE];

	OPENSSL_cleanse(stack, sizeof(stack));
}

#endif							/* KMS_MULTI_BUFFER */
