#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include "crypto/lane_key.h"

static KmsLaneKey *allocate(int words);
static bool read_numbers(const EVP_PKEY *pkey, KmsLaneKey *key);
static OSSL_PARAM number(const char *name, uint64_t *words, int count);
static bool has_all_bits(const uint64_t *words, int count);

KmsLaneKey *
kms_lane_key_new(const EVP_PKEY *pkey, int bits, bool *unfit)
{
	KmsLaneKey *key = allocate(bits / 64);

	*unfit = key != NULL && !read_numbers(pkey, key);
	if (key != NULL && (*unfit || !kms_montgomery_set(&key->modulus)))
	{
		kms_lane_key_free(key);
		key = NULL;
	}
	return key;
}

static KmsLaneKey *
allocate(int words)
{
	KmsLaneKey *key = OPENSSL_zalloc(sizeof(*key));
	size_t		size = (size_t) words / 2 * sizeof(uint64_t);

	if (key == NULL)
		return NULL;
	key->modulus.words = words;
	key->p = OPENSSL_secure_zalloc(size);
	key->q = OPENSSL_secure_zalloc(size);
	key->dp = OPENSSL_secure_zalloc(size);
	key->dq = OPENSSL_secure_zalloc(size);
	key->iq = OPENSSL_secure_zalloc(size);
	if (key->p == NULL || key->q == NULL || key->dp == NULL ||
		key->dq == NULL || key->iq == NULL)
	{
		kms_lane_key_free(key);
		key = NULL;
	}
	return key;
}

/*
 * OpenSSL writes a number straight to our words, so there is no copy to wipe,
 * but leaves no trace of a third prime.  kms_key_pair_open_private() refuses
 * keys that have one.
 */
static bool
read_numbers(const EVP_PKEY *pkey, KmsLaneKey *key)
{
	int			words = key->modulus.words;
	uint64_t	e = 0;
	OSSL_PARAM	params[8];

	params[0] = number(OSSL_PKEY_PARAM_RSA_N, key->modulus.n, words);
	params[1] = number(OSSL_PKEY_PARAM_RSA_E, &e, 1);
	params[2] = number(OSSL_PKEY_PARAM_RSA_FACTOR1, key->p, words / 2);
	params[3] = number(OSSL_PKEY_PARAM_RSA_FACTOR2, key->q, words / 2);
	params[4] = number(OSSL_PKEY_PARAM_RSA_EXPONENT1, key->dp, words / 2);
	params[5] = number(OSSL_PKEY_PARAM_RSA_EXPONENT2, key->dq, words / 2);
	params[6] = number(OSSL_PKEY_PARAM_RSA_COEFFICIENT1, key->iq,
					   words / 2);
	params[7] = OSSL_PARAM_construct_end();
	if (EVP_PKEY_get_params(pkey, params) != 1)
		return false;
	return e == KMS_LANE_KEY_EXPONENT &&
		has_all_bits(key->modulus.n, words) &&
		has_all_bits(key->p, words / 2) &&
		has_all_bits(key->q, words / 2);
}

static OSSL_PARAM
number(const char *name, uint64_t *words, int count)
{
	return OSSL_PARAM_construct_BN(name, (unsigned char *) words,
								   (size_t) count * sizeof(uint64_t));
}

static bool
has_all_bits(const uint64_t *words, int count)
{
	return words[count - 1] >> 63 == 1;
}

void
kms_lane_key_free(KmsLaneKey *key)
{
	size_t		size;

	if (key == NULL)
		return;
	size = (size_t) key->modulus.words / 2 * sizeof(uint64_t);
	OPENSSL_secure_clear_free(key->p, size);
	OPENSSL_secure_clear_free(key->q, size);
	OPENSSL_secure_clear_free(key->dp, size);
	OPENSSL_secure_clear_free(key->dq, size);
	OPENSSL_secure_clear_free(key->iq, size);
	OPENSSL_clear_free(key, sizeof(*key));
}
