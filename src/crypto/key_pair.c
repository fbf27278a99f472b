/*
 * Writing and opening keys; crypto/ec_key does it for ECDH.
 *
 * Most of the cost of opening an RSA key is parsing.  A kept decoder takes 9
 * us and puts the private numbers into the secure heap.  A fresh one,
 * d2i_PrivateKey and d2i_PUBKEY take over 100 us.  EVP_PKEY_fromdata, and
 * d2i_RSAPrivateKey at the key's first use, copy the numbers to the ordinary
 * heap.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "crypto/key_pair.h"

#include "crypto/algorithm.h"
#include "crypto/ec_key.h"
#include "crypto/key_pair_struct.h"
#include "crypto/lane_key.h"
#include "crypto/secure_heap.h"

/* The start of PKCS#1 RSAPrivateKey: its version and its modulus. */
#define SEQUENCE_HEADER 4		/* 30 82 and two bytes of length */
#define PKCS1_START		8

struct KmsKeyOpener
{
	EVP_PKEY   *opened;			/* result of the decoders */
	OSSL_DECODER_CTX *private_decoder;
	OSSL_DECODER_CTX *public_decoder;

	/* NULL until first used */
	EVP_PKEY_CTX *p256;
	EVP_PKEY_CTX *x25519;

	/* Held so that OpenSSL need not fetch them again. */
	EVP_ASYM_CIPHER *rsa;
	EVP_KEYMGMT *keymgmt;
	EVP_MD	   *sha1;
	EVP_MD	   *sha256;
};

static OSSL_DECODER_CTX *new_decoder(EVP_PKEY **pkey, const char *structure,
									 int selection);
static KmsStatus copy_der(unsigned char *der, int der_len, unsigned char *out,
						  size_t size, size_t *out_len);
static KmsStatus open_ec(KmsKeyOpener *opener, KmsKeyType type,
						 bool is_private, const unsigned char *der, size_t len,
						 KmsKeyPair **key);
static KmsStatus open_rsa_private(KmsKeyOpener *opener,
								  const unsigned char *der, size_t len,
								  KmsKeyPair **key);
static KmsStatus open_rsa_public(KmsKeyOpener *opener,
								 const unsigned char *der, size_t len,
								 KmsKeyPair **key);
static bool is_one_sequence(const unsigned char *der, size_t len);
static bool is_pkcs1(const unsigned char *der, size_t len);
static KmsStatus decode(KmsKeyOpener *opener, OSSL_DECODER_CTX *decoder,
						const unsigned char *der, size_t len,
						bool is_private, KmsKeyPair **key);
static bool is_fit(const EVP_PKEY *pkey);
static bool number_of(const KmsKeyPair *key, const char *name,
					  unsigned char *out, size_t *out_len);
static bool coordinates_of(const KmsKeyPair *key, KmsPublicNumbers *numbers);

KmsKeyOpener *
kms_key_pair_opener_new(void)
{
	KmsKeyOpener *opener;

	ERR_clear_error();
	opener = OPENSSL_zalloc(sizeof(*opener));
	if (opener == NULL)
		goto done;

	opener->rsa = EVP_ASYM_CIPHER_fetch(NULL, "RSA", NULL);
	opener->keymgmt = EVP_KEYMGMT_fetch(NULL, "RSA", NULL);
	opener->sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
	opener->sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	opener->private_decoder = new_decoder(&opener->opened, "type-specific",
										  EVP_PKEY_KEYPAIR);
	opener->public_decoder = new_decoder(&opener->opened,
										 "SubjectPublicKeyInfo",
										 EVP_PKEY_PUBLIC_KEY);
	if (opener->rsa == NULL || opener->keymgmt == NULL ||
		opener->sha1 == NULL || opener->sha256 == NULL ||
		opener->private_decoder == NULL || opener->public_decoder == NULL)
	{
		kms_key_pair_opener_free(opener);
		opener = NULL;
	}

done:
	ERR_clear_error();
	return opener;
}

static OSSL_DECODER_CTX *
new_decoder(EVP_PKEY **pkey, const char *structure, int selection)
{
	OSSL_DECODER_CTX *decoder;

	decoder = OSSL_DECODER_CTX_new_for_pkey(pkey, "DER", structure, "RSA",
											selection, NULL, NULL);

	/* OpenSSL does not treat a context without decoders as an error. */
	if (decoder != NULL && OSSL_DECODER_CTX_get_num_decoders(decoder) < 1)
	{
		OSSL_DECODER_CTX_free(decoder);
		decoder = NULL;
	}
	return decoder;
}

void
kms_key_pair_opener_free(KmsKeyOpener *opener)
{
	if (opener == NULL)
		return;
	OSSL_DECODER_CTX_free(opener->private_decoder);
	OSSL_DECODER_CTX_free(opener->public_decoder);
	EVP_PKEY_CTX_free(opener->p256);
	EVP_PKEY_CTX_free(opener->x25519);
	EVP_ASYM_CIPHER_free(opener->rsa);
	EVP_KEYMGMT_free(opener->keymgmt);
	EVP_MD_free(opener->sha1);
	EVP_MD_free(opener->sha256);
	OPENSSL_free(opener);
}

KmsStatus
kms_key_pair_public_der(const KmsKeyPair *key, unsigned char *out, size_t size,
						size_t *out_len)
{
	unsigned char *der = NULL;
	KmsStatus	status;
	int			der_len;

	ERR_clear_error();
	if (key->type == KMS_TYPE_RSA)
	{
		der_len = i2d_PUBKEY(key->pkey, &der);
		status = copy_der(der, der_len, out, size, out_len);
	}
	else
		status = kms_ec_key_public_der(key->pkey, key->type, out, size, out_len);
	ERR_clear_error();
	return status;
}

KmsStatus
kms_key_pair_private_der(const KmsKeyPair *key, unsigned char *out, size_t size,
						 size_t *out_len)
{
	unsigned char *der = NULL;
	KmsStatus	status = KMS_BAD_KEY;
	int			der_len;

	ERR_clear_error();
	if (!key->is_private)
	{
		OPENSSL_cleanse(out, size);
		*out_len = 0;
	}
	else if (key->type == KMS_TYPE_RSA)
	{
		der_len = i2d_PrivateKey(key->pkey, &der);
		status = copy_der(der, der_len, out, size, out_len);
	}
	else
		status = kms_ec_key_private_der(key->pkey, key->type, out, size, out_len);
	ERR_clear_error();
	return status;
}

/*
 * Copy and free "der", and wipe it, because OpenSSL made it in the ordinary
 * heap.
 */
static KmsStatus
copy_der(unsigned char *der, int der_len, unsigned char *out, size_t size,
		 size_t *out_len)
{
	KmsStatus	status = KMS_FAILED;

	*out_len = 0;
	if (der == NULL || der_len < 1)
		goto done;
	status = KMS_TOO_LONG;
	if ((size_t) der_len > size)
		goto done;
	memcpy(out, der, (size_t) der_len);
	*out_len = (size_t) der_len;
	status = KMS_OK;

done:
	if (status != KMS_OK)
		OPENSSL_cleanse(out, size);
	if (der != NULL)
		OPENSSL_clear_free(der, der_len > 0 ? (size_t) der_len : 0);
	return status;
}

KmsStatus
kms_key_pair_open_private(KmsKeyOpener *opener, KmsKeyType type,
						  const unsigned char *der, size_t len,
						  KmsKeyPair **key)
{
	KmsStatus	status;

	ERR_clear_error();
	*key = NULL;
	if (type == KMS_TYPE_RSA)
		status = open_rsa_private(opener, der, len, key);
	else
		status = open_ec(opener, type, true, der, len, key);
	ERR_clear_error();
	return status;
}

KmsStatus
kms_key_pair_open_public(KmsKeyOpener *opener, KmsKeyType type,
						 const unsigned char *der, size_t len,
						 KmsKeyPair **key)
{
	KmsStatus	status;

	ERR_clear_error();
	*key = NULL;
	if (type == KMS_TYPE_RSA)
		status = open_rsa_public(opener, der, len, key);
	else
		status = open_ec(opener, type, false, der, len, key);
	ERR_clear_error();
	return status;
}

static KmsStatus
open_ec(KmsKeyOpener *opener, KmsKeyType type, bool is_private,
		const unsigned char *der, size_t len, KmsKeyPair **key)
{
	EVP_PKEY_CTX **importer;
	EVP_PKEY   *pkey;
	KmsStatus	status;

	if (type != KMS_TYPE_EC_P256 && type != KMS_TYPE_X25519)
		return KMS_BAD_KEY;
	if (type == KMS_TYPE_X25519 && kms_algorithm_x25519() == NULL)
		return KMS_NO_X25519;
	importer = type == KMS_TYPE_EC_P256 ? &opener->p256 : &opener->x25519;
	if (*importer == NULL)
		*importer = kms_ec_key_importer_new(type);
	if (*importer == NULL)
		return KMS_NO_MEMORY;
	status = (is_private ? kms_ec_key_open_private : kms_ec_key_open_public)
		(*importer, type, der, len, &pkey);
	if (status != KMS_OK)
		return status;
	*key = kms_key_pair_new(pkey, type, is_private);
	if (*key == NULL)
	{
		EVP_PKEY_free(pkey);
		status = KMS_NO_MEMORY;
	}
	return status;
}

static KmsStatus
open_rsa_private(KmsKeyOpener *opener, const unsigned char *der, size_t len,
				 KmsKeyPair **key)
{
	KmsStatus	status;

	if (len > KMS_KEY_PAIR_MAX_PRIVATE || !is_pkcs1(der, len))
		return KMS_BAD_KEY;
	status = decode(opener, opener->private_decoder, der, len, true, key);

	/*
	 * A full secure heap looks like a malformed key.  The numbers are about a
	 * fifth of the DER for d and a tenth for each of the others.
	 */
	if (status == KMS_BAD_KEY && kms_secure_heap_is_full(len / 5))
		status = KMS_NO_MEMORY;
	return status;
}

static KmsStatus
open_rsa_public(KmsKeyOpener *opener, const unsigned char *der, size_t len,
				KmsKeyPair **key)
{
	if (len > KMS_KEY_PAIR_MAX_PUBLIC || !is_one_sequence(der, len))
		return KMS_BAD_KEY;
	return decode(opener, opener->public_decoder, der, len, false, key);
}

/*
 * Return true if the DER is one SEQUENCE and nothing else.  Keys within our
 * bounds have a two-byte length.
 */
static bool
is_one_sequence(const unsigned char *der, size_t len)
{
	return len > SEQUENCE_HEADER &&
		der[0] == 0x30 && der[1] == 0x82 &&
		((size_t) der[2] << 8 | der[3]) == len - SEQUENCE_HEADER;
}

/*
 * Return true if the DER is PKCS#1 with version 0, which means two primes (1:
 * more).  The INTEGER after the version distinguishes it from PKCS#8, which
 * the decoder would also read.
 */
static bool
is_pkcs1(const unsigned char *der, size_t len)
{
	static const unsigned char start[] = {0x02, 0x01, 0x00, 0x02};

	return len > PKCS1_START && is_one_sequence(der, len) &&
		memcmp(der + SEQUENCE_HEADER, start, sizeof(start)) == 0;
}

static KmsStatus
decode(KmsKeyOpener *opener, OSSL_DECODER_CTX *decoder,
	   const unsigned char *der, size_t len, bool is_private, KmsKeyPair **key)
{
	const unsigned char *rest = der;
	size_t		rest_len = len;
	KmsStatus	status = KMS_BAD_KEY;

	opener->opened = NULL;
	if (OSSL_DECODER_from_data(decoder, &rest, &rest_len) != 1)
		goto done;
	if (opener->opened == NULL || rest_len != 0)
		goto done;
	if (!is_fit(opener->opened))
		goto done;

	status = KMS_NO_MEMORY;
	*key = kms_key_pair_new(opener->opened, KMS_TYPE_RSA, is_private);
	if (*key == NULL)
		goto done;
	opener->opened = NULL;
	status = KMS_OK;

done:
	EVP_PKEY_free(opener->opened);
	opener->opened = NULL;
	return status;
}

static bool
is_fit(const EVP_PKEY *pkey)
{
	int			bits = EVP_PKEY_get_bits(pkey);

	return EVP_PKEY_is_a(pkey, "RSA") == 1 &&
		bits >= KMS_RSA_MIN_BITS && bits <= KMS_RSA_MAX_BITS;
}

KmsKeyPair *
kms_key_pair_new(EVP_PKEY *pkey, KmsKeyType type, bool is_private)
{
	KmsKeyPair *key;

	key = OPENSSL_zalloc(sizeof(*key));
	if (key == NULL)
		return NULL;
	key->pkey = pkey;
	key->type = type;
	if (type == KMS_TYPE_RSA)
		key->bits = EVP_PKEY_get_bits(pkey);
	key->is_private = is_private;
	key->references = 1;
	return key;
}

KmsKeyPair *
kms_key_pair_share(KmsKeyPair *key)
{
	key->references++;
	return key;
}

void
kms_key_pair_free(KmsKeyPair *key)
{
	KmsOaepTemplate *template;

	if (key == NULL || --key->references > 0)
		return;
	while ((template = key->templates) != NULL)
	{
		key->templates = template->next;
		EVP_PKEY_CTX_free(template->ctx);
		OPENSSL_free(template);
	}
	EVP_PKEY_CTX_free(key->raw);
	kms_lane_key_free(key->lane_key);
	EVP_PKEY_CTX_free(key->agreement);
	EVP_PKEY_free(key->peer);
	EVP_PKEY_free(key->pkey);
	OPENSSL_free(key);
}

size_t
kms_key_pair_block_size(const KmsKeyPair *key)
{
	return ((size_t) key->bits + 7) / 8;
}

KmsKeyType
kms_key_pair_type(const KmsKeyPair *key)
{
	return key->type;
}

void
kms_key_pair_algorithm(const KmsKeyPair *key, char *name)
{
	if (key->type == KMS_TYPE_RSA)
		snprintf(name, KMS_KEY_ALGORITHM_SIZE, "RSA-%d", key->bits);
	else
		snprintf(name, KMS_KEY_ALGORITHM_SIZE, "%s",
				 kms_key_algorithm_name(key->type == KMS_TYPE_EC_P256 ?
										KMS_EC_P256 : KMS_X25519));
}

KmsStatus
kms_key_pair_public_pem(const unsigned char *der, size_t len, char *out,
						size_t size)
{
	BIO		   *bio;
	KmsStatus	status = KMS_FAILED;
	char	   *pem = NULL;
	long		pem_len;

	ERR_clear_error();
	if (size > 0)
		out[0] = '\0';
	bio = BIO_new(BIO_s_mem());
	if (bio == NULL)
		goto done;
	status = KMS_BAD_KEY;
	if (len < 1 || len > KMS_KEY_PAIR_MAX_PUBLIC)
		goto done;
	status = KMS_FAILED;
	if (PEM_write_bio(bio, PEM_STRING_PUBLIC, "", der, (long) len) < 1)
		goto done;
	pem_len = BIO_get_mem_data(bio, &pem);
	if (pem == NULL || pem_len < 1)
		goto done;
	status = KMS_TOO_LONG;
	if ((size_t) pem_len >= size)
		goto done;
	memcpy(out, pem, (size_t) pem_len);
	out[pem_len] = '\0';
	status = KMS_OK;

done:
	BIO_free(bio);
	ERR_clear_error();
	return status;
}

KmsStatus
kms_key_pair_public_numbers(KmsKeyOpener *opener, KmsKeyType type,
							const unsigned char *der, size_t len,
							KmsPublicNumbers *numbers)
{
	KmsKeyPair *key;
	KmsStatus	status;

	memset(numbers, 0, sizeof(*numbers));
	status = kms_key_pair_open_public(opener, type, der, len, &key);
	if (status != KMS_OK)
		goto done;
	status = KMS_FAILED;
	if (type == KMS_TYPE_RSA ?
		number_of(key, OSSL_PKEY_PARAM_RSA_N, numbers->n, &numbers->n_len) &&
		number_of(key, OSSL_PKEY_PARAM_RSA_E, numbers->e, &numbers->e_len) :
		coordinates_of(key, numbers))
		status = KMS_OK;

done:
	if (status != KMS_OK)
		memset(numbers, 0, sizeof(*numbers));
	kms_key_pair_free(key);
	ERR_clear_error();
	return status;
}

/*
 * Get a number of a key.  "out" holds KMS_RSA_MAX_BLOCK bytes.  Return false
 * if there is none or it is 0.
 */
static bool
number_of(const KmsKeyPair *key, const char *name, unsigned char *out,
		  size_t *out_len)
{
	BIGNUM	   *number = NULL;
	int			len = 0;

	if (EVP_PKEY_get_bn_param(key->pkey, name, &number) == 1 &&
		BN_num_bytes(number) <= KMS_RSA_MAX_BLOCK)
		len = BN_bn2bin(number, out);
	BN_free(number);
	*out_len = (size_t) len;
	return len > 0;
}

static bool
coordinates_of(const KmsKeyPair *key, KmsPublicNumbers *numbers)
{
	unsigned char point[KMS_EC_KEY_MAX_POINT];

	if (!kms_ec_key_point(key->pkey, key->type, point))
		return false;
	memcpy(numbers->x, point, KMS_COORDINATE_SIZE);
	if (key->type == KMS_TYPE_EC_P256)
		memcpy(numbers->y, point + KMS_COORDINATE_SIZE,
			   KMS_COORDINATE_SIZE);
	return true;
}
