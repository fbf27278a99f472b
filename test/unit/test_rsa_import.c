/*
 * RSA keys that come from elsewhere: each fault of their numbers, in a key
 * that has no other one.
 */
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "keys.h"
#include "pem.h"

#define DER_MAX		8192

enum
{
	N, E, D, P, Q, DP, DQ, QINV, NUMBERS
};

static BN_CTX *ctx;

/* ---- Keys with numbers of any kind ------------------------------------ */

static EVP_PKEY *
open_pkey(const unsigned char *der, size_t len)
{
	return d2i_AutoPrivateKey(NULL, &der, (long) len);
}

static size_t
put_length(unsigned char *out, unsigned char tag, size_t len)
{
	out[0] = tag;
	if (len < 128)
	{
		out[1] = (unsigned char) len;
		return 2;
	}
	if (len < 256)
	{
		out[1] = 0x81;
		out[2] = (unsigned char) len;
		return 3;
	}
	out[1] = 0x82;
	out[2] = (unsigned char) (len >> 8);
	out[3] = (unsigned char) len;
	return 4;
}

static size_t
put_integer(unsigned char *out, const BIGNUM *number)
{
	size_t		len = (size_t) BN_num_bits(number) / 8 + 1;
	size_t		head = put_length(out, V_ASN1_INTEGER, len);

	require(BN_bn2binpad(number, out + head, (int) len) == (int) len, "DER");
	return head + len;
}

/* PKCS#1 of the numbers, whatever they are; "more" INTEGERs 0 at the end. */
static size_t
write_pkcs1(BIGNUM **numbers, int more, unsigned char *out)
{
	unsigned char body[DER_MAX];
	BIGNUM	   *zero = BN_new();
	size_t		len = put_integer(body, zero);
	size_t		head;
	int			i;

	for (i = 0; i < NUMBERS; i++)
		len += put_integer(body + len, numbers[i]);
	while (more-- > 0)
		len += put_integer(body + len, zero);
	head = put_length(out, V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED, len);
	memcpy(out + head, body, len);
	BN_free(zero);
	return head + len;
}

static void
read_pkcs1(const unsigned char *der, size_t len, BIGNUM **numbers)
{
	static const char *const names[NUMBERS] = {
		OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_D,
		OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2,
		OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
		OSSL_PKEY_PARAM_RSA_COEFFICIENT1
	};
	EVP_PKEY   *pkey = open_pkey(der, len);
	int			i;

	for (i = 0; i < NUMBERS; i++)
	{
		numbers[i] = NULL;
		require(EVP_PKEY_get_bn_param(pkey, names[i], &numbers[i]) == 1,
				"no number of a key");
	}
	EVP_PKEY_free(pkey);
}

static void
free_numbers(BIGNUM **numbers)
{
	int			i;

	for (i = 0; i < NUMBERS; i++)
		BN_free(numbers[i]);
}

/* n, d and the CRT values that belong to e, p and q; false if e has none. */
static bool
complete(BIGNUM **numbers)
{
	BIGNUM	   *p1 = BN_dup(numbers[P]);
	BIGNUM	   *q1 = BN_dup(numbers[Q]);
	BIGNUM	   *phi = BN_new();
	bool		ok;

	BN_sub_word(p1, 1);
	BN_sub_word(q1, 1);
	BN_mul(phi, p1, q1, ctx);
	ok = BN_mul(numbers[N], numbers[P], numbers[Q], ctx) == 1 &&
		BN_mod_inverse(numbers[D], numbers[E], phi, ctx) != NULL &&
		BN_mod(numbers[DP], numbers[D], p1, ctx) == 1 &&
		BN_mod(numbers[DQ], numbers[D], q1, ctx) == 1 &&
		BN_mod_inverse(numbers[QINV], numbers[Q], numbers[P], ctx) != NULL;
	ERR_clear_error();
	BN_free(p1);
	BN_free(q1);
	BN_free(phi);
	return ok;
}

/* ---- Keys with one fault ---------------------------------------------- */

static void
refused_numbers(BIGNUM **numbers, KmsImportRefusal refusal, const char *name)
{
	unsigned char der[DER_MAX];
	size_t		len = write_pkcs1(numbers, 0, der);

	refused_pem(new_pem("RSA PRIVATE KEY", der, len), refusal, name);
}

static void
test_exponent(const char *e, KmsImportRefusal refusal)
{
	BIGNUM	   *numbers[NUMBERS];
	unsigned char der[DER_MAX];
	size_t		len;
	char	   *pem;
	int			tries = 0;

	/* a pair of primes whose e has an inverse */
	read_pkcs1(BYTES(key_2048), numbers);
	BN_hex2bn(&numbers[E], e);
	while (BN_is_odd(numbers[E]) && !BN_is_one(numbers[E]) &&
		   (!complete(numbers) || BN_num_bits(numbers[N]) != 2048))
		require(tries++ < 100 &&
				BN_generate_prime_ex(numbers[P], 1024, 0, NULL, NULL,
									 NULL) == 1 &&
				BN_generate_prime_ex(numbers[Q], 1024, 0, NULL, NULL,
									 NULL) == 1, "no primes for e");
	len = write_pkcs1(numbers, 0, der);
	pem = new_pem("RSA PRIVATE KEY", der, len);
	if (refusal == KMS_REFUSED_NONE)
		taken(pem, der, len, e);
	else
		refused(pem, strlen(pem), refusal, e);
	free(pem);
	free_numbers(numbers);
}

static void
test_der(void)
{
	BIGNUM	   *numbers[NUMBERS];
	unsigned char der[DER_MAX];
	size_t		len;

	memcpy(der, key_2048, sizeof(key_2048));
	der[sizeof(key_2048)] = 0;
	refused_pem(new_pem("RSA PRIVATE KEY", der, sizeof(key_2048) + 1),
				KMS_REFUSED_DAMAGED, "a byte after PKCS#1");
	refused_pem(new_pem("RSA PRIVATE KEY", der, sizeof(key_2048) - 1),
				KMS_REFUSED_DAMAGED, "PKCS#1 without its last byte");
	der[11] ^= 0xff;
	refused_pem(new_pem("RSA PRIVATE KEY", der, sizeof(key_2048)),
				KMS_REFUSED_DAMAGED, "a negative modulus");
	read_pkcs1(BYTES(key_2048), numbers);
	len = write_pkcs1(numbers, 0, der);
	check(len == sizeof(key_2048) && memcmp(der, key_2048, len) == 0,
		  "the test writes PKCS#1 as OpenSSL does");
	len = write_pkcs1(numbers, 1, der);
	refused_pem(new_pem("RSA PRIVATE KEY", der, len), KMS_REFUSED_MORE_PRIMES,
				"a tenth number");
	free_numbers(numbers);
}

/* The next q that fits from p + 2^bits on; taken if there is no refusal. */
static void
test_distance(int bits, KmsImportRefusal refusal, const char *name)
{
	BIGNUM	   *numbers[NUMBERS];
	BIGNUM	   *distance = BN_new();
	unsigned char der[DER_MAX];
	size_t		len;
	char	   *pem;

	read_pkcs1(BYTES(key_2048), numbers);
	require(BN_set_bit(distance, bits) == 1 &&
			BN_add(numbers[Q], numbers[P], distance) == 1, "no distance");
	if (!BN_is_odd(numbers[Q]))
		BN_add_word(numbers[Q], 1);
	while (BN_check_prime(numbers[Q], ctx, NULL) != 1 || !complete(numbers) ||
		   BN_num_bits(numbers[N]) != 2048)
		BN_add_word(numbers[Q], 2);
	if (refusal != KMS_REFUSED_NONE)
		refused_numbers(numbers, refusal, name);
	else
	{
		len = write_pkcs1(numbers, 0, der);
		pem = new_pem("RSA PRIVATE KEY", der, len);
		taken(pem, der, len, name);
		free(pem);
	}
	BN_free(distance);
	free_numbers(numbers);
}

/* Each case starts from a good key, with the fault alone. */
static void
test_numbers(void)
{
	BIGNUM	   *numbers[NUMBERS];
	BIGNUM	   *other = BN_new();
	int			i;

	/* 4104 bits, of two primes that are none */
	read_pkcs1(BYTES(key_4096), numbers);
	BN_lshift(numbers[N], numbers[N], 8);
	refused_numbers(numbers, KMS_REFUSED_SIZE, "4104 bits");
	free_numbers(numbers);

	for (i = 0; i < 2; i++)
	{
		read_pkcs1(BYTES(key_2048), numbers);
		do
		{
			BN_generate_prime_ex(numbers[P], i == 0 ? 1000 : 1048, 0, NULL,
								 NULL, NULL);
			BN_generate_prime_ex(numbers[Q], i == 0 ? 1048 : 1000, 0, NULL,
								 NULL, NULL);
		} while (!complete(numbers) || BN_num_bits(numbers[N]) != 2048);
		refused_numbers(numbers, KMS_REFUSED_UNBALANCED, i == 0 ? "p shorter" : "q shorter");
		free_numbers(numbers);
	}

	read_pkcs1(BYTES(key_2048), numbers);
	BN_copy(numbers[Q], numbers[P]);
	BN_sqr(numbers[N], numbers[P], ctx);
	refused_numbers(numbers, KMS_REFUSED_EQUAL_PRIMES, "p = q");
	free_numbers(numbers);

	test_distance(0, KMS_REFUSED_CLOSE_PRIMES, "q after p");
	test_distance(920, KMS_REFUSED_CLOSE_PRIMES, "q - p of 921 bits");
	test_distance(930, KMS_REFUSED_NONE, "q - p of 931 bits");

	read_pkcs1(BYTES(key_2048), numbers);
	BN_sub_word(numbers[N], 2);
	refused_numbers(numbers, KMS_REFUSED_MODULUS, "n - 2");
	free_numbers(numbers);

	for (i = 0; i < 2; i++)
	{
		read_pkcs1(BYTES(key_2048), numbers);
		do
			BN_sub_word(numbers[i == 0 ? P : Q], 2);
		while (BN_check_prime(numbers[i == 0 ? P : Q], ctx, NULL) != 0 ||
			   !complete(numbers) || BN_num_bits(numbers[N]) != 2048);
		refused_numbers(numbers, KMS_REFUSED_COMPOSITE, i == 0 ? "p" : "q");
		free_numbers(numbers);
	}

	for (i = 0; i < 4; i++)
	{
		read_pkcs1(BYTES(key_2048), numbers);
		if (i == 0)
			BN_add_word(numbers[D], 2);
		else if (i == 1)
			BN_set_word(numbers[D], 3);
		else if (i == 2)
			BN_copy(numbers[D], numbers[N]);
		else
		{
			/* right modulo p - 1 alone */
			BN_copy(other, numbers[P]);
			BN_sub_word(other, 1);
			BN_add(numbers[D], numbers[D], other);
		}
		refused_numbers(numbers, KMS_REFUSED_PRIVATE_EXPONENT, "d");
		free_numbers(numbers);
	}

	/* e * d = 1 modulo phi, but d is above n */
	read_pkcs1(BYTES(key_2048), numbers);
	BN_sub(other, numbers[N], numbers[P]);
	BN_sub(other, other, numbers[Q]);
	BN_add_word(other, 1);
	do
		BN_add(numbers[D], numbers[D], other);
	while (BN_cmp(numbers[D], numbers[N]) < 0);
	refused_numbers(numbers, KMS_REFUSED_PRIVATE_EXPONENT, "d above n");
	free_numbers(numbers);

	for (i = DP; i <= QINV; i++)
	{
		read_pkcs1(BYTES(key_2048), numbers);
		BN_add_word(numbers[i], 1);
		refused_numbers(numbers, KMS_REFUSED_CRT, "one more");
		free_numbers(numbers);
	}

	/* congruent, but not reduced */
	for (i = DP; i <= QINV; i++)
	{
		read_pkcs1(BYTES(key_2048), numbers);
		BN_copy(other, numbers[i == DQ ? Q : P]);
		if (i != QINV)
			BN_sub_word(other, 1);
		BN_add(numbers[i], numbers[i], other);
		refused_numbers(numbers, KMS_REFUSED_CRT, "not reduced");
		free_numbers(numbers);
	}
	BN_free(other);
}

/*
 * Primes p = 2ag + 1, q = 2bg + 1 have so small a common period of the
 * exponents that some e has a d below 2^1024: right in every other respect.
 */
static void
test_small_d(void)
{
	BIGNUM	   *numbers[NUMBERS];
	BIGNUM	   *g = BN_new();
	BIGNUM	   *period = BN_new();
	BIGNUM	   *other = BN_new();
	BN_ULONG	factor[2];

	read_pkcs1(BYTES(key_2048), numbers);
	/* one in some hundred g has its primes too far down */
	do
	{
		BN_ULONG	a = 1 << 15;
		int			found = 0;

		BN_generate_prime_ex(g, 1010, 0, NULL, NULL, NULL);
		while (found < 2)
		{
			BIGNUM	   *prime = numbers[found == 0 ? P : Q];

			require(--a > 0, "no such primes");
			BN_copy(prime, g);
			BN_mul_word(prime, 2 * a);
			BN_add_word(prime, 1);
			if (BN_num_bits(prime) == 1024 &&
				BN_check_prime(prime, ctx, NULL) == 1)
				factor[found++] = a;
		}
		BN_mul(numbers[N], numbers[P], numbers[Q], ctx);
	} while (BN_num_bits(numbers[N]) != 2048);
	BN_copy(period, g);
	BN_mul_word(period, 2 * factor[0] * factor[1]);
	BN_set_word(numbers[E], 3);
	while (BN_mod_inverse(numbers[D], numbers[E], period, ctx) == NULL ||
		   BN_num_bits(numbers[D]) > 1024)
		BN_add_word(numbers[E], 2);
	ERR_clear_error();

	BN_copy(other, numbers[P]);
	BN_sub_word(other, 1);
	BN_mod(numbers[DP], numbers[D], other, ctx);
	BN_copy(other, numbers[Q]);
	BN_sub_word(other, 1);
	BN_mod(numbers[DQ], numbers[D], other, ctx);
	BN_mod_inverse(numbers[QINV], numbers[Q], numbers[P], ctx);
	check(BN_num_bits(numbers[N]) == 2048, "a modulus with a small d");
	refused_numbers(numbers, KMS_REFUSED_PRIVATE_EXPONENT, "a small d");
	free_numbers(numbers);
	BN_free(g);
	BN_free(period);
	BN_free(other);
}

int
main(void)
{
	opener = kms_key_pair_opener_new();
	ctx = BN_CTX_new();
	require(opener != NULL && ctx != NULL, "no RSA");

	test_exponent("3", KMS_REFUSED_NONE);
	test_exponent("ffffffffffffffc5", KMS_REFUSED_NONE);
	test_exponent("10000000000000003", KMS_REFUSED_PUBLIC_EXPONENT);
	test_exponent("10000", KMS_REFUSED_PUBLIC_EXPONENT);
	test_exponent("1", KMS_REFUSED_PUBLIC_EXPONENT);
	test_exponent("0", KMS_REFUSED_PUBLIC_EXPONENT);
	test_der();
	test_numbers();
	test_small_d();

	BN_CTX_free(ctx);
	kms_key_pair_opener_free(opener);
	return tap_done();
}
