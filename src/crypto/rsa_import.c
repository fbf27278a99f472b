/*
 * The numbers are read from the DER and checked before OpenSSL's RSA code sees
 * them.  They are in the secure heap if there is one.
 */
#include <stdbool.h>

#include <openssl/bn.h>

#include "crypto/rsa_import.h"

#include "crypto/key_pair.h"

/* OpenSSL uses no longer exponents with moduli above 3072 bits. */
#define MAX_PUBLIC_EXPONENT_BITS 64

/*
 * The difference of the primes may be at most this many bits shorter than the
 * primes (FIPS 186-4, B.3.3).  Closer primes can be found from the modulus by
 * Fermat's method.
 */
#define MIN_DISTANCE 100

/* The INTEGERs of RSAPrivateKey, in their order. */
typedef enum Number
{
	VERSION, N, E, D, P, Q, DP, DQ, QINV, NUMBERS
} Number;

static KmsStatus read_numbers(KmsDer der, BIGNUM **numbers,
							  KmsImportRefusal *refusal);
static KmsStatus check_numbers(BIGNUM **numbers, BN_CTX *ctx,
							   KmsImportRefusal *refusal);
static KmsStatus check_primes(BIGNUM **numbers, BN_CTX *ctx,
							  KmsImportRefusal *refusal);
static KmsStatus check_exponents(BIGNUM **numbers, BN_CTX *ctx,
								 KmsImportRefusal *refusal);
static KmsStatus is_product(const BIGNUM *product, const BIGNUM *a,
							const BIGNUM *b, BN_CTX *ctx);
static KmsStatus is_far(const BIGNUM *a, const BIGNUM *b, int bits,
						BN_CTX *ctx);
static KmsStatus is_prime(const BIGNUM *number, BN_CTX *ctx);
static KmsStatus is_inverse(const BIGNUM *a, const BIGNUM *b,
							const BIGNUM *modulus, BN_CTX *ctx);
static KmsStatus is_remainder(const BIGNUM *remainder, const BIGNUM *number,
							  const BIGNUM *modulus, BN_CTX *ctx);

KmsStatus
kms_rsa_import_check(KmsDer der, KmsImportRefusal *refusal)
{
	BIGNUM	   *numbers[NUMBERS] = {NULL};
	BN_CTX	   *ctx;
	KmsStatus	status = KMS_FAILED;
	int			i;

	ctx = BN_CTX_secure_new();
	if (ctx != NULL)
		status = read_numbers(der, numbers, refusal);
	if (status == KMS_OK)
		status = check_numbers(numbers, ctx, refusal);
	if (status == KMS_OK)
		status = check_primes(numbers, ctx, refusal);
	if (status == KMS_OK)
		status = check_exponents(numbers, ctx, refusal);
	for (i = 0; i < NUMBERS; i++)
		BN_clear_free(numbers[i]);
	BN_CTX_free(ctx);
	return status;
}

/* Read a SEQUENCE of INTEGERs with nothing after it. */
static KmsStatus
read_numbers(KmsDer der, BIGNUM **numbers, KmsImportRefusal *refusal)
{
	KmsDer		sequence;
	KmsDer		number;
	int			i;

	*refusal = KMS_REFUSED_DAMAGED;
	if (!kms_der_read(&der, KMS_DER_SEQUENCE, &sequence) || der.len > 0)
		return KMS_BAD_KEY;
	for (i = 0; i < NUMBERS; i++)
	{
		if (!kms_der_read(&sequence, KMS_DER_INTEGER, &number) ||
			number.len < 1 || (number.bytes[0] & 0x80) != 0)
			return KMS_BAD_KEY;
		numbers[i] = BN_secure_new();
		if (numbers[i] == NULL ||
			BN_bin2bn(number.bytes, (int) number.len, numbers[i]) == NULL)
			return KMS_FAILED;
		BN_set_flags(numbers[i], BN_FLG_CONSTTIME);
	}
	*refusal = KMS_REFUSED_MORE_PRIMES;
	if (sequence.len > 0 || !BN_is_zero(numbers[VERSION]))
		return KMS_BAD_KEY;
	return KMS_OK;
}

/* Check everything that needs hardly any arithmetic. */
static KmsStatus
check_numbers(BIGNUM **numbers, BN_CTX *ctx, KmsImportRefusal *refusal)
{
	int			bits = BN_num_bits(numbers[N]);
	int			half = (bits + 1) / 2;
	KmsStatus	status;

	*refusal = KMS_REFUSED_SIZE;
	if (bits < KMS_RSA_MIN_BITS || bits > KMS_RSA_MAX_BITS)
		return KMS_BAD_KEY;
	*refusal = KMS_REFUSED_PUBLIC_EXPONENT;
	if (!BN_is_odd(numbers[E]) || BN_is_one(numbers[E]) ||
		BN_num_bits(numbers[E]) > MAX_PUBLIC_EXPONENT_BITS)
		return KMS_BAD_KEY;
	*refusal = KMS_REFUSED_UNBALANCED;
	if (BN_num_bits(numbers[P]) != half || BN_num_bits(numbers[Q]) != half)
		return KMS_BAD_KEY;
	*refusal = KMS_REFUSED_EQUAL_PRIMES;
	if (BN_cmp(numbers[P], numbers[Q]) == 0)
		return KMS_BAD_KEY;
	*refusal = KMS_REFUSED_CLOSE_PRIMES;
	status = is_far(numbers[P], numbers[Q], half - MIN_DISTANCE, ctx);
	if (status != KMS_OK)
		return status;
	*refusal = KMS_REFUSED_PRIVATE_EXPONENT;
	if (BN_num_bits(numbers[D]) <= half || BN_cmp(numbers[D], numbers[N]) >= 0)
		return KMS_BAD_KEY;
	*refusal = KMS_REFUSED_MODULUS;
	return is_product(numbers[N], numbers[P], numbers[Q], ctx);
}

static KmsStatus
check_primes(BIGNUM **numbers, BN_CTX *ctx, KmsImportRefusal *refusal)
{
	KmsStatus	status;

	*refusal = KMS_REFUSED_COMPOSITE;
	status = is_prime(numbers[P], ctx);
	if (status == KMS_OK)
		status = is_prime(numbers[Q], ctx);
	return status;
}

static KmsStatus
check_exponents(BIGNUM **numbers, BN_CTX *ctx, KmsImportRefusal *refusal)
{
	BIGNUM	   *p1;
	BIGNUM	   *q1;
	KmsStatus	status = KMS_FAILED;

	BN_CTX_start(ctx);
	p1 = BN_CTX_get(ctx);
	q1 = BN_CTX_get(ctx);
	if (q1 == NULL || BN_sub(p1, numbers[P], BN_value_one()) != 1 ||
		BN_sub(q1, numbers[Q], BN_value_one()) != 1)
		goto done;
	BN_set_flags(p1, BN_FLG_CONSTTIME);
	BN_set_flags(q1, BN_FLG_CONSTTIME);

	*refusal = KMS_REFUSED_PRIVATE_EXPONENT;
	status = is_inverse(numbers[D], numbers[E], p1, ctx);
	if (status == KMS_OK)
		status = is_inverse(numbers[D], numbers[E], q1, ctx);
	if (status != KMS_OK)
		goto done;

	*refusal = KMS_REFUSED_CRT;
	status = is_remainder(numbers[DP], numbers[D], p1, ctx);
	if (status == KMS_OK)
		status = is_remainder(numbers[DQ], numbers[D], q1, ctx);
	if (status == KMS_OK)
		status = is_inverse(numbers[QINV], numbers[Q], numbers[P], ctx);
	if (status == KMS_OK && BN_cmp(numbers[QINV], numbers[P]) >= 0)
		status = KMS_BAD_KEY;

done:
	BN_CTX_end(ctx);
	return status;
}

static KmsStatus
is_product(const BIGNUM *product, const BIGNUM *a, const BIGNUM *b,
		   BN_CTX *ctx)
{
	BIGNUM	   *result;
	KmsStatus	status = KMS_FAILED;

	BN_CTX_start(ctx);
	result = BN_CTX_get(ctx);
	if (result != NULL && BN_mul(result, a, b, ctx) == 1)
		status = BN_cmp(result, product) == 0 ? KMS_OK : KMS_BAD_KEY;
	BN_CTX_end(ctx);
	return status;
}

/* Return KMS_OK if the numbers differ by at least 2 to the power of "bits". */
static KmsStatus
is_far(const BIGNUM *a, const BIGNUM *b, int bits, BN_CTX *ctx)
{
	BIGNUM	   *difference;
	KmsStatus	status = KMS_FAILED;

	BN_CTX_start(ctx);
	difference = BN_CTX_get(ctx);
	if (difference != NULL && BN_sub(difference, a, b) == 1)
		status = BN_num_bits(difference) > bits ? KMS_OK : KMS_BAD_KEY;
	BN_CTX_end(ctx);
	return status;
}

static KmsStatus
is_prime(const BIGNUM *number, BN_CTX *ctx)
{
	switch (BN_check_prime(number, ctx, NULL))
	{
		case 1:
			return KMS_OK;
		case 0:
			return KMS_BAD_KEY;
		default:
			return KMS_FAILED;
	}
}

static KmsStatus
is_inverse(const BIGNUM *a, const BIGNUM *b, const BIGNUM *modulus,
		   BN_CTX *ctx)
{
	BIGNUM	   *result;
	KmsStatus	status = KMS_FAILED;

	BN_CTX_start(ctx);
	result = BN_CTX_get(ctx);
	if (result != NULL && BN_mod_mul(result, a, b, modulus, ctx) == 1)
		status = BN_is_one(result) ? KMS_OK : KMS_BAD_KEY;
	BN_CTX_end(ctx);
	return status;
}

static KmsStatus
is_remainder(const BIGNUM *remainder, const BIGNUM *number,
			 const BIGNUM *modulus, BN_CTX *ctx)
{
	BIGNUM	   *result;
	KmsStatus	status = KMS_FAILED;

	BN_CTX_start(ctx);
	result = BN_CTX_get(ctx);
	if (result != NULL && BN_mod(result, number, modulus, ctx) == 1)
		status = BN_cmp(result, remainder) == 0 ? KMS_OK : KMS_BAD_KEY;
	BN_CTX_end(ctx);
	return status;
}
