/*
 * From PEM to a key that can be stored.
 *
 * The numbers are read from the DER and checked before OpenSSL's RSA code sees
 * them.  Then the same DER is opened like any stored key.  PEM's own buffers
 * and the numbers are in the secure heap if there is one.  PKCS#8 has its copy
 * in the ordinary heap, and wipes it when it is freed.
 */
#include <limits.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "crypto/rsa_import.h"

#include "crypto/rsa_key_struct.h"
#include "crypto/rsa_oaep.h"
#include "crypto/secure_heap.h"

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

typedef struct PemBlock
{
	char	   *name;
	char	   *header;
	unsigned char *data;
	long		len;
} PemBlock;

static KmsStatus read_block(const char *pem, size_t len, PemBlock *block,
							const char **why);
static void free_block(PemBlock *block);
static size_t skip_space(const char *bytes, size_t len);
static bool has_begin_line(const char *bytes, size_t len);
static KmsStatus judge_name(const PemBlock *block, const char **why);
static KmsStatus read_pkcs8(const PemBlock *block, PKCS8_PRIV_KEY_INFO **info,
							const unsigned char **der, size_t *der_len,
							const char **why);
static KmsStatus check_der(const unsigned char *der, size_t len,
						   const char **why);
static KmsStatus read_numbers(const unsigned char *der, size_t len,
							  BIGNUM **numbers, const char **why);
static KmsStatus check_numbers(BIGNUM **numbers, BN_CTX *ctx,
							   const char **why);
static KmsStatus check_primes(BIGNUM **numbers, BN_CTX *ctx,
							  const char **why);
static KmsStatus check_exponents(BIGNUM **numbers, BN_CTX *ctx,
								 const char **why);
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
kms_rsa_import_pem(KmsRsaOpener *opener, const char *pem, size_t len,
				   KmsRsaKey **key, const char **why)
{
	PemBlock	block = {NULL, NULL, NULL, 0};
	PKCS8_PRIV_KEY_INFO *info = NULL;
	const unsigned char *der = NULL;
	size_t		der_len = 0;
	KmsStatus	status;

	ERR_clear_error();
	*key = NULL;
	status = read_block(pem, len, &block, why);
	if (status == KMS_OK)
		status = judge_name(&block, why);
	if (status != KMS_OK)
		goto done;

	if (strcmp(block.name, PEM_STRING_RSA) == 0)
	{
		der = block.data;
		der_len = (size_t) block.len;
	}
	else
		status = read_pkcs8(&block, &info, &der, &der_len, why);
	if (status == KMS_OK)
		status = check_der(der, der_len, why);
	if (status == KMS_OK)
	{
		*why = "its content is damaged";
		status = kms_rsa_key_open_private(opener, der, der_len, key);
	}
	if (status == KMS_OK)
		status = kms_rsa_oaep_check_pair(*key);

done:
	if (status != KMS_OK)
	{
		kms_rsa_key_free(*key);
		*key = NULL;
	}
	if (status != KMS_BAD_KEY)
		*why = NULL;
	PKCS8_PRIV_KEY_INFO_free(info);
	free_block(&block);

	/* Arithmetic needs several times the room of the numbers. */
	if (status == KMS_FAILED && kms_secure_heap_is_full(2 * len))
		status = KMS_NO_MEMORY;
	ERR_clear_error();
	return status;
}

/* Read the only block of the text. */
static KmsStatus
read_block(const char *pem, size_t len, PemBlock *block, const char **why)
{
	size_t		start = skip_space(pem, len);
	BIO		   *bio = NULL;
	char	   *rest = NULL;
	long		rest_len;
	KmsStatus	status = KMS_BAD_KEY;

	*why = "it is not in PEM form";
	if (len > KMS_RSA_MAX_IMPORT || !has_begin_line(pem, len))
		goto done;
	*why = "there is something else beside it";
	if (strncmp(pem + start, "-----BEGIN ", 11) != 0)
		goto done;

	status = KMS_FAILED;
	bio = BIO_new_mem_buf(pem + start, (int) (len - start));
	if (bio == NULL)
		goto done;
	status = KMS_BAD_KEY;
	*why = "its content is damaged";
	if (PEM_read_bio_ex(bio, &block->name, &block->header, &block->data,
						&block->len, PEM_FLAG_SECURE) != 1)
	{
		/* The parser needs room in proportion to the text. */
		if (kms_secure_heap_is_full(len))
			status = KMS_NO_MEMORY;
		goto done;
	}
	*why = "there is something else beside it";
	rest_len = BIO_get_mem_data(bio, &rest);
	if (rest_len > 0 &&
		skip_space(rest, (size_t) rest_len) != (size_t) rest_len)
		goto done;
	status = KMS_OK;

done:
	BIO_free(bio);
	return status;
}

static void
free_block(PemBlock *block)
{
	OPENSSL_secure_free(block->name);
	OPENSSL_secure_free(block->header);
	if (block->data != NULL)
		OPENSSL_secure_clear_free(block->data, (size_t) block->len);
}

/* Return how many bytes of white space are at the start. */
static size_t
skip_space(const char *bytes, size_t len)
{
	size_t		i = 0;

	while (i < len && (bytes[i] == ' ' || bytes[i] == '\t' ||
					   bytes[i] == '\r' || bytes[i] == '\n'))
		i++;
	return i;
}

static bool
has_begin_line(const char *bytes, size_t len)
{
	static const char begin[] = "-----BEGIN ";
	const size_t begin_len = sizeof(begin) - 1;
	size_t		i;

	for (i = 0; i + begin_len < len; i++)
	{
		if (memcmp(bytes + i, begin, begin_len) == 0)
			return true;
	}
	return false;
}

static KmsStatus
judge_name(const PemBlock *block, const char **why)
{
	*why = "it is encrypted";
	if (strcmp(block->name, PEM_STRING_PKCS8) == 0 ||
		strstr(block->header, "ENCRYPTED") != NULL)
		return KMS_BAD_KEY;
	*why = "it is a public key or a certificate";
	if (strstr(block->name, "PUBLIC KEY") != NULL ||
		strstr(block->name, "CERTIFICATE") != NULL)
		return KMS_BAD_KEY;
	*why = "it is not a key for RSA encryption";
	if (strcmp(block->name, PEM_STRING_RSA) != 0 &&
		strcmp(block->name, PEM_STRING_PKCS8INF) != 0)
		return KMS_BAD_KEY;
	return KMS_OK;
}

/* *der points into *info. */
static KmsStatus
read_pkcs8(const PemBlock *block, PKCS8_PRIV_KEY_INFO **info,
		   const unsigned char **der, size_t *der_len, const char **why)
{
	const unsigned char *rest = block->data;
	const ASN1_OBJECT *algorithm = NULL;
	int			len = 0;

	*why = "its content is damaged";
	*info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &rest, block->len);
	if (*info == NULL || rest != block->data + block->len)
		return KMS_BAD_KEY;
	if (PKCS8_pkey_get0(&algorithm, der, &len, NULL, *info) != 1 || len < 1)
		return KMS_BAD_KEY;
	*der_len = (size_t) len;
	*why = "it is not a key for RSA encryption";
	if (OBJ_obj2nid(algorithm) != NID_rsaEncryption)
		return KMS_BAD_KEY;
	return KMS_OK;
}

static KmsStatus
check_der(const unsigned char *der, size_t len, const char **why)
{
	BIGNUM	   *numbers[NUMBERS] = {NULL};
	BN_CTX	   *ctx;
	KmsStatus	status = KMS_FAILED;
	int			i;

	ctx = BN_CTX_secure_new();
	if (ctx != NULL)
		status = read_numbers(der, len, numbers, why);
	if (status == KMS_OK)
		status = check_numbers(numbers, ctx, why);
	if (status == KMS_OK)
		status = check_primes(numbers, ctx, why);
	if (status == KMS_OK)
		status = check_exponents(numbers, ctx, why);
	for (i = 0; i < NUMBERS; i++)
		BN_clear_free(numbers[i]);
	BN_CTX_free(ctx);
	return status;
}

/* Read a SEQUENCE of INTEGERs with nothing after it. */
static KmsStatus
read_numbers(const unsigned char *der, size_t len, BIGNUM **numbers,
			 const char **why)
{
	const unsigned char *end = der + len;
	long		size;
	int			tag;
	int			class;
	int			i;

	*why = "its content is damaged";
	if (ASN1_get_object(&der, &size, &tag, &class,
						(long) len) != V_ASN1_CONSTRUCTED ||
		tag != V_ASN1_SEQUENCE || class != V_ASN1_UNIVERSAL ||
		size != end - der)
		return KMS_BAD_KEY;
	for (i = 0; i < NUMBERS; i++)
	{
		if (ASN1_get_object(&der, &size, &tag, &class, end - der) != 0 ||
			tag != V_ASN1_INTEGER || class != V_ASN1_UNIVERSAL ||
			size < 1 || (der[0] & 0x80) != 0)
			return KMS_BAD_KEY;
		numbers[i] = BN_secure_new();
		if (numbers[i] == NULL ||
			BN_bin2bn(der, (int) size, numbers[i]) == NULL)
			return KMS_FAILED;
		BN_set_flags(numbers[i], BN_FLG_CONSTTIME);
		der += size;
	}
	*why = "it has more than two primes";
	if (der != end || !BN_is_zero(numbers[VERSION]))
		return KMS_BAD_KEY;
	return KMS_OK;
}

/* Check everything that needs hardly any arithmetic. */
static KmsStatus
check_numbers(BIGNUM **numbers, BN_CTX *ctx, const char **why)
{
	int			bits = BN_num_bits(numbers[N]);
	int			half = (bits + 1) / 2;
	KmsStatus	status;

	*why = "its modulus does not have 2048 to 4096 bits";
	if (bits < KMS_RSA_MIN_BITS || bits > KMS_RSA_MAX_BITS)
		return KMS_BAD_KEY;
	*why = "its public exponent is even, too small or too large";
	if (!BN_is_odd(numbers[E]) || BN_is_one(numbers[E]) ||
		BN_num_bits(numbers[E]) > MAX_PUBLIC_EXPONENT_BITS)
		return KMS_BAD_KEY;
	*why = "its primes are not of the same size";
	if (BN_num_bits(numbers[P]) != half || BN_num_bits(numbers[Q]) != half)
		return KMS_BAD_KEY;
	*why = "its primes are equal";
	if (BN_cmp(numbers[P], numbers[Q]) == 0)
		return KMS_BAD_KEY;
	*why = "its primes are too close to each other";
	status = is_far(numbers[P], numbers[Q], half - MIN_DISTANCE, ctx);
	if (status != KMS_OK)
		return status;
	*why = "its private exponent is wrong";
	if (BN_num_bits(numbers[D]) <= half || BN_cmp(numbers[D], numbers[N]) >= 0)
		return KMS_BAD_KEY;
	*why = "its modulus is not the product of its primes";
	return is_product(numbers[N], numbers[P], numbers[Q], ctx);
}

static KmsStatus
check_primes(BIGNUM **numbers, BN_CTX *ctx, const char **why)
{
	KmsStatus	status;

	*why = "one of its primes is not prime";
	status = is_prime(numbers[P], ctx);
	if (status == KMS_OK)
		status = is_prime(numbers[Q], ctx);
	return status;
}

static KmsStatus
check_exponents(BIGNUM **numbers, BN_CTX *ctx, const char **why)
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

	*why = "its private exponent is wrong";
	status = is_inverse(numbers[D], numbers[E], p1, ctx);
	if (status == KMS_OK)
		status = is_inverse(numbers[D], numbers[E], q1, ctx);
	if (status != KMS_OK)
		goto done;

	*why = "its CRT values are wrong";
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
