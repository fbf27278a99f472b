/*
 * Keys that come from elsewhere: each kind that is taken, and each fault, in
 * a key that has no other one.
 */
#include <stdlib.h>

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/rsa_import.h"
#include "crypto/secure_heap.h"
#include "keys.h"
#include "tap.h"

#define BYTES(array) array, sizeof(array)
#define SECURE_HEAP 65536		/* bytes */
#define PIECE		32
#define DER_MAX		8192

#define DAMAGED "its content is damaged"
#define ENCRYPTED "it is encrypted"
#define NO_PEM "it is not in PEM form"
#define BESIDE "there is something else beside it"
#define PUBLIC_KEY "it is a public key or a certificate"
#define OTHER_KIND "it is not a key for RSA encryption"
#define OTHER_SIZE "its modulus does not have 2048 to 4096 bits"
#define MULTIPRIME "it has more than two primes"
#define EXPONENT "its public exponent is even, too small or too large"
#define UNBALANCED "its primes are not of the same size"
#define EQUAL "its primes are equal"
#define CLOSE "its primes are too close to each other"
#define PRODUCT "its modulus is not the product of its primes"
#define COMPOSITE "one of its primes is not prime"
#define PRIVATE "its private exponent is wrong"
#define CRT "its CRT values are wrong"

enum
{
	N, E, D, P, Q, DP, DQ, QINV, NUMBERS
};

static KmsRsaOpener *opener;
static BN_CTX *ctx;

static void
require(bool ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! %s\n", what);
	exit(1);
}

/* ---- the tools -------------------------------------------------------- */

/* PEM of the bytes, to be freed with free(). */
static char *
new_pem(const char *name, const char *header, const unsigned char *der,
		size_t len)
{
	BIO		   *bio = BIO_new(BIO_s_mem());
	char	   *data;
	char	   *pem;
	long		size;

	require(PEM_write_bio(bio, name, header, der, (long) len) > 0, "no PEM");
	size = BIO_get_mem_data(bio, &data);
	pem = malloc((size_t) size + 1);
	memcpy(pem, data, (size_t) size);
	pem[size] = '\0';
	BIO_free(bio);
	return pem;
}

static char *
pem_of_pkey(EVP_PKEY *pkey, bool pkcs8, const EVP_CIPHER *cipher)
{
	BIO		   *bio = BIO_new(BIO_s_mem());
	char	   *data;
	char	   *pem;
	long		size;
	int			ok;

	if (pkcs8)
		ok = PEM_write_bio_PKCS8PrivateKey(bio, pkey, cipher, "pass", 4,
										   NULL, NULL);
	else
		ok = PEM_write_bio_PrivateKey_traditional(bio, pkey, cipher,
												  (unsigned char *) "pass", 4,
												  NULL, NULL);
	require(pkey != NULL && ok == 1, "no PEM of a key");
	size = BIO_get_mem_data(bio, &data);
	pem = malloc((size_t) size + 1);
	memcpy(pem, data, (size_t) size);
	pem[size] = '\0';
	BIO_free(bio);
	EVP_PKEY_free(pkey);
	return pem;
}

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

/* ---- what is taken ---------------------------------------------------- */

/* The key is what "der" is, or any if that is NULL. */
static void
taken(const char *pem, const unsigned char *der, size_t len, const char *name)
{
	char	   *copy = malloc(strlen(pem)); /* no NUL to rely on */
	const char *why = "unset";
	unsigned char out[KMS_RSA_MAX_PRIVATE];
	size_t		out_len = 0;
	KmsRsaKey  *key = NULL;
	KmsRsaKey  *again = NULL;

	memcpy(copy, pem, strlen(pem));
	check_number(kms_rsa_import_pem(opener, copy, strlen(pem), &key, &why),
				 KMS_OK, name);
	check(why == NULL && ERR_peek_error() == 0,
		  "%s: nothing to say, no error left", name);
	if (key == NULL)
		printf("# %s\n", why == NULL ? "no reason" : why);
	else
	{
		check(kms_rsa_key_private_der(key, out, sizeof(out), &out_len) == KMS_OK &&
			  (der == NULL ||
			   (out_len == len && memcmp(out, der, len) == 0)),
			  "%s: it is written as PKCS#1", name);
		check(kms_rsa_key_open_private(opener, out, out_len, &again) == KMS_OK,
			  "%s: and opens again", name);
	}
	kms_rsa_key_free(key);
	kms_rsa_key_free(again);
	free(copy);
}

/* With every end of line made "end", and text around; to be freed. */
static char *
with_line_ends(const char *pem, const char *end, const char *before,
			   const char *after)
{
	size_t		size = 2 * strlen(pem) + strlen(before) + strlen(after) + 1;
	char	   *out = malloc(size);
	size_t		len = (size_t) snprintf(out, size, "%s", before);

	for (; *pem != '\0'; pem++)
		len += (size_t) (*pem == '\n' ?
						 snprintf(out + len, size - len, "%s", end) :
						 snprintf(out + len, size - len, "%c", *pem));
	snprintf(out + len, size - len, "%s", after);
	return out;
}

static void
test_sizes(const unsigned char *der, size_t len, const char *name)
{
	char	   *pkcs1 = new_pem("RSA PRIVATE KEY", "", der, len);
	char	   *pkcs8 = pem_of_pkey(open_pkey(der, len), true, NULL);

	check(strstr(pkcs8, "-----BEGIN PRIVATE KEY-----") == pkcs8,
		  "%s: PKCS#8 to try", name);
	taken(pkcs1, der, len, name);
	taken(pkcs8, der, len, name);
	free(pkcs1);
	free(pkcs8);
}

static void
test_forms(void)
{
	char	   *pem = new_pem("RSA PRIVATE KEY", "", BYTES(key_2048));
	char	   *other;

	other = with_line_ends(pem, "\r\n", "", "");
	taken(other, BYTES(key_2048), "lines that end in CR LF");
	free(other);
	other = with_line_ends(pem, "\n", " \r\n\t\n", "\n\r\n  ");
	taken(other, BYTES(key_2048), "white space around");
	free(other);
	pem[strlen(pem) - 1] = '\0';
	taken(pem, BYTES(key_2048), "no line end after the last line");
	free(pem);
}

static void
test_exponent(const char *e, const char *why)
{
	BIGNUM	   *numbers[NUMBERS];
	unsigned char der[DER_MAX];
	const char *found = NULL;
	KmsRsaKey  *key;
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
	pem = new_pem("RSA PRIVATE KEY", "", der, len);
	if (why == NULL)
		taken(pem, der, len, e);
	else
	{
		check(kms_rsa_import_pem(opener, pem, strlen(pem), &key,
								 &found) == KMS_BAD_KEY &&
			  key == NULL && found != NULL && strcmp(found, why) == 0,
			  "e = %s: %s", e, why);
		kms_rsa_key_free(key);
	}
	free(pem);
	free_numbers(numbers);
}

/* ---- what is refused -------------------------------------------------- */

static void
refused(const char *pem, size_t len, const char *why, const char *name)
{
	char	   *copy = malloc(len > 0 ? len : 1);
	const char *found = NULL;
	KmsRsaKey  *key = NULL;
	KmsStatus	status;

	memcpy(copy, pem, len);
	status = kms_rsa_import_pem(opener, copy, len, &key, &found);
	if (!check(status == KMS_BAD_KEY && key == NULL && found != NULL &&
			   strcmp(found, why) == 0 && ERR_peek_error() == 0 &&
			   memcmp(copy, pem, len) == 0, "%s: %s", name, why))
		printf("# status %d, %s\n", status, found == NULL ? "" : found);
	kms_rsa_key_free(key);
	free(copy);
}

/* Takes the PEM over. */
static void
refused_pem(char *pem, const char *why, const char *name)
{
	refused(pem, strlen(pem), why, name);
	free(pem);
}

static void
refused_numbers(BIGNUM **numbers, const char *why, const char *name)
{
	unsigned char der[DER_MAX];
	size_t		len = write_pkcs1(numbers, 0, der);

	refused_pem(new_pem("RSA PRIVATE KEY", "", der, len), why, name);
}

static void
test_text(void)
{
	char	   *pem = new_pem("RSA PRIVATE KEY", "", BYTES(key_2048));
	size_t		len = strlen(pem);
	size_t		size = 2 * len + 100;
	char	   *out = calloc(size, 1);
	size_t		cut;

	refused("", 0, NO_PEM, "nothing");
	refused(" \n", 2, NO_PEM, "white space");
	refused("garbage", 7, NO_PEM, "garbage");
	refused("-----BEGIN ", 11, NO_PEM, "less than a line");
	refused((const char *) key_2048, sizeof(key_2048), NO_PEM, "DER");
	refused("-----BEGIN RSA PRIVATE KEY-----\n", 32, DAMAGED, "no end");
	snprintf(out, size, "Key:\n%s", pem);
	refused(out, strlen(out), BESIDE, "text before");
	snprintf(out, size, "%sKey\n", pem);
	refused(out, strlen(out), BESIDE, "text after");
	snprintf(out, size, "%s%s", pem, pem);
	refused(out, strlen(out), BESIDE, "two blocks");
	for (cut = 1; cut < len - 2; cut += 97)
		refused(pem, cut, cut < 12 ? NO_PEM : DAMAGED, "cut off");
	memcpy(out, pem, len);
	out[100] = '*';
	refused(out, len, DAMAGED, "not base64");
	memcpy(out, pem, len);
	memcpy(strstr(out, "END RSA"), "END DSA", 7);
	refused(out, len, DAMAGED, "begin and end differ");
	free(out);
	free(pem);

	out = malloc(KMS_RSA_MAX_IMPORT + 1);
	memset(out, '\n', KMS_RSA_MAX_IMPORT + 1);
	pem = new_pem("RSA PRIVATE KEY", "", BYTES(key_2048));
	memcpy(out, pem, strlen(pem));
	refused(out, KMS_RSA_MAX_IMPORT + 1, NO_PEM, "longer than any key");
	out[KMS_RSA_MAX_IMPORT] = '\0';
	taken(out, BYTES(key_2048), "the longest text");
	free(pem);
	free(out);
}

static EVP_PKEY *
new_pss_key(void)
{
	EVP_PKEY_CTX *pkey_ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
	EVP_PKEY   *pkey = NULL;

	require(EVP_PKEY_keygen_init(pkey_ctx) == 1 &&
			EVP_PKEY_CTX_set_rsa_keygen_bits(pkey_ctx, 2048) == 1 &&
			EVP_PKEY_generate(pkey_ctx, &pkey) == 1, "no key for PSS");
	EVP_PKEY_CTX_free(pkey_ctx);
	return pkey;
}

static void
test_kinds(void)
{
	refused_pem(pem_of_pkey(open_pkey(BYTES(key_2048)), true,
							EVP_aes_256_cbc()), ENCRYPTED, "PKCS#8");
	refused_pem(pem_of_pkey(open_pkey(BYTES(key_2048)), false,
							EVP_aes_128_cbc()), ENCRYPTED, "Proc-Type");
	refused_pem(new_pem("PUBLIC KEY", "", BYTES(public_2048)), PUBLIC_KEY,
				"SPKI");
	refused_pem(new_pem("RSA PUBLIC KEY", "", BYTES(public_2048)), PUBLIC_KEY,
				"PKCS#1");
	refused_pem(new_pem("CERTIFICATE", "", BYTES(public_2048)), PUBLIC_KEY,
				"X.509");
	refused_pem(pem_of_pkey(EVP_EC_gen("P-256"), true, NULL), OTHER_KIND,
				"EC, PKCS#8");
	refused_pem(pem_of_pkey(EVP_EC_gen("P-256"), false, NULL), OTHER_KIND,
				"EC, SEC1");
	refused_pem(pem_of_pkey(new_pss_key(), true, NULL), OTHER_KIND,
				"RSASSA-PSS");
	refused_pem(new_pem("OPENSSH PRIVATE KEY", "", BYTES(key_2048)),
				OTHER_KIND, "OpenSSH");
	refused_pem(new_pem("RSA PRIVATE KEY", "", BYTES(public_2048)), DAMAGED,
				"a public key that is called private");
	refused_pem(new_pem("PRIVATE KEY", "", BYTES(key_2048)), DAMAGED,
				"PKCS#1 that is called PKCS#8");
	refused_pem(new_pem("RSA PRIVATE KEY", "", BYTES(pkcs8_2048)), DAMAGED,
				"PKCS#8 that is called PKCS#1");
	refused_pem(new_pem("RSA PRIVATE KEY", "", BYTES(multiprime_2048)),
				MULTIPRIME, "three primes");
	refused_pem(new_pem("RSA PRIVATE KEY", "", BYTES(key_1024)), OTHER_SIZE,
				"1024 bits");
}

static void
test_der(void)
{
	BIGNUM	   *numbers[NUMBERS];
	unsigned char der[DER_MAX];
	size_t		len;

	memcpy(der, key_2048, sizeof(key_2048));
	der[sizeof(key_2048)] = 0;
	refused_pem(new_pem("RSA PRIVATE KEY", "", der, sizeof(key_2048) + 1),
				DAMAGED, "a byte after PKCS#1");
	refused_pem(new_pem("RSA PRIVATE KEY", "", der, sizeof(key_2048) - 1),
				DAMAGED, "PKCS#1 without its last byte");
	der[11] ^= 0xff;
	refused_pem(new_pem("RSA PRIVATE KEY", "", der, sizeof(key_2048)),
				DAMAGED, "a negative modulus");
	memcpy(der, pkcs8_2048, sizeof(pkcs8_2048));
	der[sizeof(pkcs8_2048)] = 0;
	refused_pem(new_pem("PRIVATE KEY", "", der, sizeof(pkcs8_2048) + 1),
				DAMAGED, "a byte after PKCS#8");
	refused_pem(new_pem("PRIVATE KEY", "", der, sizeof(pkcs8_2048) - 1),
				DAMAGED, "PKCS#8 without its last byte");
	read_pkcs1(BYTES(key_2048), numbers);
	len = write_pkcs1(numbers, 0, der);
	check(len == sizeof(key_2048) && memcmp(der, key_2048, len) == 0,
		  "the test writes PKCS#1 as OpenSSL does");
	len = write_pkcs1(numbers, 1, der);
	refused_pem(new_pem("RSA PRIVATE KEY", "", der, len), MULTIPRIME,
				"a tenth number");
	free_numbers(numbers);
}

/* Each case starts from a good key, with the fault alone. */
/* The next q that fits from p + 2^bits on; taken if "why" is NULL. */
static void
test_distance(int bits, const char *why, const char *name)
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
	if (why != NULL)
		refused_numbers(numbers, why, name);
	else
	{
		len = write_pkcs1(numbers, 0, der);
		pem = new_pem("RSA PRIVATE KEY", "", der, len);
		taken(pem, der, len, name);
		free(pem);
	}
	BN_free(distance);
	free_numbers(numbers);
}

static void
test_numbers(void)
{
	BIGNUM	   *numbers[NUMBERS];
	BIGNUM	   *other = BN_new();
	int			i;

	/* 4104 bits, of two primes that are none */
	read_pkcs1(BYTES(key_4096), numbers);
	BN_lshift(numbers[N], numbers[N], 8);
	refused_numbers(numbers, OTHER_SIZE, "4104 bits");
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
		refused_numbers(numbers, UNBALANCED, i == 0 ? "p shorter" : "q shorter");
		free_numbers(numbers);
	}

	read_pkcs1(BYTES(key_2048), numbers);
	BN_copy(numbers[Q], numbers[P]);
	BN_sqr(numbers[N], numbers[P], ctx);
	refused_numbers(numbers, EQUAL, "p = q");
	free_numbers(numbers);

	test_distance(0, CLOSE, "q after p");
	test_distance(920, CLOSE, "q - p of 921 bits");
	test_distance(930, NULL, "q - p of 931 bits");

	read_pkcs1(BYTES(key_2048), numbers);
	BN_sub_word(numbers[N], 2);
	refused_numbers(numbers, PRODUCT, "n - 2");
	free_numbers(numbers);

	for (i = 0; i < 2; i++)
	{
		read_pkcs1(BYTES(key_2048), numbers);
		do
			BN_sub_word(numbers[i == 0 ? P : Q], 2);
		while (BN_check_prime(numbers[i == 0 ? P : Q], ctx, NULL) != 0 ||
			   !complete(numbers) || BN_num_bits(numbers[N]) != 2048);
		refused_numbers(numbers, COMPOSITE, i == 0 ? "p" : "q");
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
		refused_numbers(numbers, PRIVATE, "d");
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
	refused_numbers(numbers, PRIVATE, "d above n");
	free_numbers(numbers);

	for (i = DP; i <= QINV; i++)
	{
		read_pkcs1(BYTES(key_2048), numbers);
		BN_add_word(numbers[i], 1);
		refused_numbers(numbers, CRT, "one more");
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
		refused_numbers(numbers, CRT, "not reduced");
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
	refused_numbers(numbers, PRIVATE, "a small d");
	free_numbers(numbers);
	BN_free(g);
	BN_free(period);
	BN_free(other);
}

/* A full secure heap is not the key's fault. */
static void
test_full_heap(void)
{
	static void *pieces[SECURE_HEAP / PIECE + 1];
	char	   *pem = new_pem("RSA PRIVATE KEY", "", BYTES(key_2048));
	KmsRsaKey  *key;
	const char *why;
	KmsStatus	status = KMS_NO_MEMORY;
	size_t		used;
	int			count = 0;
	int			refusals = 0;

	require(kms_secure_heap_start(SECURE_HEAP) != 0, "no secure heap");
	taken(pem, BYTES(key_2048), "with a secure heap");
	used = CRYPTO_secure_used();
	status = kms_rsa_import_pem(opener, pem, strlen(pem), &key, &why);
	check(status == KMS_OK && CRYPTO_secure_used() >= used + 256 + 5 * 128,
		  "the private numbers are in it");
	kms_rsa_key_free(key);
	check(CRYPTO_secure_used() == used,
		  "the private numbers leave the secure heap");

	while ((pieces[count] = OPENSSL_secure_malloc(PIECE)) != NULL)
		count++;
	while (count > 0)
	{
		int			i;

		status = kms_rsa_import_pem(opener, pem, strlen(pem), &key, &why);
		if (status != KMS_NO_MEMORY)
			break;
		refusals++;
		if (key != NULL || why != NULL)
			break;
		for (i = 0; i < 8 && count > 0; i++)
			OPENSSL_secure_free(pieces[--count]);
	}
	check_number(status, KMS_OK, "with room enough it is taken");
	check(refusals > 3, "before, %d times there is no memory", refusals);
	kms_rsa_key_free(key);
	while (count > 0)
		OPENSSL_secure_free(pieces[--count]);
	free(pem);
}

int
main(void)
{
	opener = kms_rsa_key_opener_new();
	ctx = BN_CTX_new();
	require(opener != NULL && ctx != NULL, "no RSA");

	test_sizes(BYTES(key_2048), "2048 bits");
	test_sizes(BYTES(key_3072), "3072 bits");
	test_sizes(BYTES(key_4096), "4096 bits");
	test_forms();
	test_exponent("3", NULL);
	test_exponent("ffffffffffffffc5", NULL);
	test_exponent("10000000000000003", EXPONENT);
	test_exponent("10000", EXPONENT);
	test_exponent("1", EXPONENT);
	test_exponent("0", EXPONENT);
	test_text();
	test_kinds();
	test_der();
	test_numbers();
	test_small_d();
	test_full_heap();

	BN_CTX_free(ctx);
	kms_rsa_key_opener_free(opener);
	return tap_done();
}
