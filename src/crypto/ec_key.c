/*
 * Opening takes 20 us for P-256, most of which is making the group, and 45 us
 * for X25519, which is computing the public key.  OpenSSL's decoders take
 * longer, and leave copies of the private number in the ordinary heap.
 */
#include <stdint.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/params.h>

#include "crypto/ec_key.h"

#include "crypto/secure_heap.h"

#define NUMBER	KMS_COORDINATE_SIZE

/* OSSL_PARAM takes pointers to data it does not change as non-const. */
#define P256_NAME ((char *) "P-256")

/* An encoding: "head", the private number, "middle" and the point. */
typedef struct Encoding
{
	const unsigned char *head;
	size_t		head_len;
	size_t		number_len;
	const unsigned char *middle;
	size_t		middle_len;
	size_t		point_len;
} Encoding;

static const unsigned char p256_private_head[] = {
	0x30, 0x81, 0x87,			/* PrivateKeyInfo */
	0x02, 0x01, 0x00,			/* version 0 */
	0x30, 0x13,					/* AlgorithmIdentifier: ecPublicKey, P-256 */
	0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
	0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
	0x04, 0x6d, 0x30, 0x6b,		/* ECPrivateKey */
	0x02, 0x01, 0x01,			/* version 1 */
	0x04, 0x20
};
static const unsigned char p256_private_middle[] = {
	0xa1, 0x44, 0x03, 0x42, 0x00, 0x04	/* publicKey, uncompressed */
};
static const unsigned char p256_public_head[] = {
	0x30, 0x59,					/* SubjectPublicKeyInfo */
	0x30, 0x13,
	0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
	0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
	0x03, 0x42, 0x00, 0x04
};
static const unsigned char x25519_private_head[] = {
	0x30, 0x2e,
	0x02, 0x01, 0x00,
	0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e,	/* id-X25519 */
	0x04, 0x22, 0x04, 0x20
};
static const unsigned char x25519_public_head[] = {
	0x30, 0x2a,
	0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e,
	0x03, 0x21, 0x00
};

#define BYTES(array) array, sizeof(array)

static const Encoding p256_private = {
	BYTES(p256_private_head), NUMBER, BYTES(p256_private_middle), 2 * NUMBER
};
static const Encoding p256_public = {
	BYTES(p256_public_head), 0, NULL, 0, 2 * NUMBER
};
static const Encoding x25519_private = {
	BYTES(x25519_private_head), NUMBER, NULL, 0, 0
};
static const Encoding x25519_public = {
	BYTES(x25519_public_head), 0, NULL, 0, NUMBER
};

/* A key as OpenSSL imports it. */
typedef struct Parts
{
	OSSL_PARAM	params[4];
	unsigned char number[NUMBER];
	unsigned char point[1 + KMS_EC_KEY_MAX_POINT];
} Parts;

static const Encoding *encoding_of(KmsKeyType type, bool is_private);
static size_t size_of(const Encoding *encoding);
static bool matches(const Encoding *encoding, const unsigned char *der,
					size_t len);
static KmsStatus import(EVP_PKEY_CTX *importer, KmsKeyType type,
						const unsigned char *number,
						const unsigned char *point, EVP_PKEY **pkey);
static bool move_to_secure_heap(EVP_PKEY **pkey);
static void fill_p256(Parts *parts, const unsigned char *number,
					  const unsigned char *point);
static void fill_x25519(Parts *parts, const unsigned char *number,
						const unsigned char *point);
static void reverse_if_little_endian(unsigned char *out,
									 const unsigned char *in);
static KmsStatus compose(const Encoding *encoding, const unsigned char *number,
						 const unsigned char *point, unsigned char *out,
						 size_t size, size_t *out_len);
static unsigned char *append(unsigned char *p, const unsigned char *bytes,
							 size_t len);
static KmsStatus write_der(const EVP_PKEY *pkey, KmsKeyType type,
						   bool is_private, unsigned char *out, size_t size,
						   size_t *out_len);
static bool get_private_number(const EVP_PKEY *pkey, KmsKeyType type,
							   unsigned char *out);
static bool get_number(const EVP_PKEY *pkey, const char *name,
					   unsigned char *out);

EVP_PKEY_CTX *
kms_ec_key_importer_new(KmsKeyType type)
{
	EVP_PKEY_CTX *importer;

	importer = EVP_PKEY_CTX_new_from_name(NULL, type == KMS_TYPE_EC_P256 ?
										  "EC" : "X25519", NULL);
	if (importer != NULL && EVP_PKEY_fromdata_init(importer) != 1)
	{
		EVP_PKEY_CTX_free(importer);
		importer = NULL;
	}
	return importer;
}

KmsStatus
kms_ec_key_open_private(EVP_PKEY_CTX *importer, KmsKeyType type,
						const unsigned char *der, size_t len, EVP_PKEY **pkey)
{
	const Encoding *encoding = encoding_of(type, true);
	const unsigned char *number;
	KmsStatus	status;

	*pkey = NULL;
	if (!matches(encoding, der, len))
		return KMS_BAD_KEY;
	number = der + encoding->head_len;
	if (type == KMS_TYPE_EC_P256 && !kms_ec_key_is_in_order(number))
		return KMS_BAD_KEY;
	status = import(importer, type, number, encoding->point_len == 0 ? NULL :
					number + NUMBER + encoding->middle_len, pkey);

	/* A full secure heap looks like a point that is not on the curve. */
	if (status == KMS_BAD_KEY && kms_secure_heap_is_full(2 * NUMBER))
		status = KMS_NO_MEMORY;
	return status;
}

KmsStatus
kms_ec_key_open_public(EVP_PKEY_CTX *importer, KmsKeyType type,
					   const unsigned char *der, size_t len, EVP_PKEY **pkey)
{
	const Encoding *encoding = encoding_of(type, false);

	*pkey = NULL;
	if (!matches(encoding, der, len))
		return KMS_BAD_KEY;
	return import(importer, type, NULL, der + encoding->head_len, pkey);
}

static const Encoding *
encoding_of(KmsKeyType type, bool is_private)
{
	if (type == KMS_TYPE_EC_P256)
		return is_private ? &p256_private : &p256_public;
	return is_private ? &x25519_private : &x25519_public;
}

static size_t
size_of(const Encoding *encoding)
{
	return encoding->head_len + encoding->number_len + encoding->middle_len +
		encoding->point_len;
}

static bool
matches(const Encoding *encoding, const unsigned char *der, size_t len)
{
	if (len != size_of(encoding) ||
		memcmp(der, encoding->head, encoding->head_len) != 0)
		return false;
	return encoding->middle_len == 0 ||
		memcmp(der + encoding->head_len + encoding->number_len,
			   encoding->middle, encoding->middle_len) == 0;
}

/*
 * "number" is NULL for a public key.  "point" is NULL if OpenSSL has to
 * compute it.
 */
static KmsStatus
import(EVP_PKEY_CTX *importer, KmsKeyType type, const unsigned char *number,
	   const unsigned char *point, EVP_PKEY **pkey)
{
	Parts		parts;
	KmsStatus	status = KMS_OK;

	if (type == KMS_TYPE_EC_P256)
		fill_p256(&parts, number, point);
	else
		fill_x25519(&parts, number, point);
	if (EVP_PKEY_fromdata(importer, pkey, number != NULL ? EVP_PKEY_KEYPAIR :
						  EVP_PKEY_PUBLIC_KEY, parts.params) != 1 ||
		(number != NULL && type == KMS_TYPE_X25519 &&
		 !move_to_secure_heap(pkey)))
	{
		EVP_PKEY_free(*pkey);
		*pkey = NULL;
		status = KMS_BAD_KEY;
	}
	OPENSSL_cleanse(&parts, sizeof(parts));
	return status;
}

/*
 * Importing leaves the private number of X25519 in the ordinary heap; a copy
 * has it in the secure heap.  The original is wiped when it is freed.
 */
static bool
move_to_secure_heap(EVP_PKEY **pkey)
{
	EVP_PKEY   *copy = EVP_PKEY_dup(*pkey);

	if (copy == NULL)
		return false;
	EVP_PKEY_free(*pkey);
	*pkey = copy;
	return true;
}

static void
fill_p256(Parts *parts, const unsigned char *number,
		  const unsigned char *point)
{
	OSSL_PARAM *p = parts->params;

	parts->point[0] = POINT_CONVERSION_UNCOMPRESSED;
	memcpy(parts->point + 1, point, 2 * NUMBER);
	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
											P256_NAME, 0);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
											 parts->point, 1 + 2 * NUMBER);
	if (number != NULL)
	{
		reverse_if_little_endian(parts->number, number);
		*p++ = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY,
									   parts->number, NUMBER);
	}
	*p = OSSL_PARAM_construct_end();
}

static void
fill_x25519(Parts *parts, const unsigned char *number,
			const unsigned char *point)
{
	OSSL_PARAM *p = parts->params;

	if (point != NULL)
	{
		memcpy(parts->point, point, NUMBER);
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
												 parts->point, NUMBER);
	}
	if (number != NULL)
	{
		memcpy(parts->number, number, NUMBER);
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY,
												 parts->number, NUMBER);
	}
	*p = OSSL_PARAM_construct_end();
}

/* OpenSSL takes and gives numbers in the byte order of the machine. */
static void
reverse_if_little_endian(unsigned char *out, const unsigned char *in)
{
	const uint16_t one = 1;
	bool		little = *(const unsigned char *) &one == 1;
	int			i;

	for (i = 0; i < NUMBER; i++)
		out[i] = in[little ? NUMBER - 1 - i : i];
}

bool
kms_ec_key_is_in_order(const unsigned char *number)
{
	static const unsigned char order[NUMBER] = {
		0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
		0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51
	};
	unsigned int borrow = 0;
	unsigned int bits = 0;
	int			i;

	for (i = NUMBER - 1; i >= 0; i--)
	{
		borrow = ((unsigned int) number[i] - order[i] - borrow) >> 31;
		bits |= number[i];
	}
	return (borrow & ((0U - bits) >> 31)) == 1;
}

KmsStatus
kms_ec_key_compose(KmsKeyType type, const unsigned char *number,
				   const unsigned char *point, unsigned char *out, size_t size,
				   size_t *out_len)
{
	return compose(encoding_of(type, true), number, point, out, size, out_len);
}

static KmsStatus
compose(const Encoding *encoding, const unsigned char *number,
		const unsigned char *point, unsigned char *out, size_t size,
		size_t *out_len)
{
	unsigned char *p = out;

	*out_len = 0;
	if (size_of(encoding) > size)
	{
		OPENSSL_cleanse(out, size);
		return KMS_TOO_LONG;
	}
	p = append(p, encoding->head, encoding->head_len);
	p = append(p, number, encoding->number_len);
	p = append(p, encoding->middle, encoding->middle_len);
	p = append(p, point, encoding->point_len);
	*out_len = (size_t) (p - out);
	return KMS_OK;
}

static unsigned char *
append(unsigned char *p, const unsigned char *bytes, size_t len)
{
	if (len > 0)
		memcpy(p, bytes, len);
	return p + len;
}

KmsStatus
kms_ec_key_private_der(const EVP_PKEY *pkey, KmsKeyType type,
					   unsigned char *out, size_t size, size_t *out_len)
{
	return write_der(pkey, type, true, out, size, out_len);
}

KmsStatus
kms_ec_key_public_der(const EVP_PKEY *pkey, KmsKeyType type,
					  unsigned char *out, size_t size, size_t *out_len)
{
	return write_der(pkey, type, false, out, size, out_len);
}

static KmsStatus
write_der(const EVP_PKEY *pkey, KmsKeyType type, bool is_private,
		  unsigned char *out, size_t size, size_t *out_len)
{
	unsigned char number[NUMBER] = {0};
	unsigned char point[KMS_EC_KEY_MAX_POINT];
	KmsStatus	status = KMS_FAILED;

	*out_len = 0;
	if (kms_ec_key_point(pkey, type, point) &&
		(!is_private || get_private_number(pkey, type, number)))
		status = compose(encoding_of(type, is_private), number, point, out,
						 size, out_len);
	if (status != KMS_OK)
		OPENSSL_cleanse(out, size);
	OPENSSL_cleanse(number, sizeof(number));
	return status;
}

static bool
get_private_number(const EVP_PKEY *pkey, KmsKeyType type,
				   unsigned char *out)
{
	size_t		len = NUMBER;

	if (type == KMS_TYPE_EC_P256)
		return get_number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, out);
	return EVP_PKEY_get_raw_private_key(pkey, out, &len) == 1 &&
		len == NUMBER;
}

bool
kms_ec_key_point(const EVP_PKEY *pkey, KmsKeyType type, unsigned char *point)
{
	size_t		len = NUMBER;

	if (type == KMS_TYPE_EC_P256)
		return get_number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, point) &&
			get_number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, point + NUMBER);
	return EVP_PKEY_get_raw_public_key(pkey, point, &len) == 1 &&
		len == NUMBER;
}

/* EVP_PKEY_get_bn_param would leave a copy in the ordinary heap. */
static bool
get_number(const EVP_PKEY *pkey, const char *name, unsigned char *out)
{
	unsigned char native[NUMBER];
	OSSL_PARAM	params[2];
	bool		ok;

	params[0] = OSSL_PARAM_construct_BN(name, native, NUMBER);
	params[1] = OSSL_PARAM_construct_end();
	ok = EVP_PKEY_get_params(pkey, params) == 1 &&
		params[0].return_size == NUMBER;
	if (ok)
		reverse_if_little_endian(out, native);
	OPENSSL_cleanse(native, sizeof(native));
	return ok;
}
