/*
 * Each key keeps a context, and a public key that gets the other side's point
 * for each call: making these again would take 15 us of P-256's 65, most of it
 * for the group.
 *
 * OpenSSL checks that a point of P-256 is on the curve when it is set.  The
 * curve's cofactor is 1, so no other check is needed, and the one by
 * multiplication with the order, which takes as long as the agreement, is left
 * out.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/ecdh.h"

#include "crypto/ec_key.h"
#include "crypto/key_pair_struct.h"
#include "crypto/secure_heap.h"

#define COORDINATE KMS_COORDINATE_SIZE

static KmsStatus prepare(KmsKeyPair *key);
static KmsStatus set_peer(KmsKeyPair *key, const unsigned char *x,
						  const unsigned char *y);
static KmsStatus why_not_set(const KmsKeyPair *key);
static bool is_of_small_order(const unsigned char *x);

KmsStatus
kms_ecdh_agree(KmsKeyPair *key, const unsigned char *x, const unsigned char *y,
			   unsigned char secret[KMS_ECDH_SIZE])
{
	size_t		len = KMS_ECDH_SIZE;
	KmsStatus	status = KMS_BAD_KEY;

	ERR_clear_error();
	if (key->type == KMS_TYPE_RSA || !key->is_private)
		goto done;
	status = prepare(key);
	if (status == KMS_OK)
		status = set_peer(key, x, y);
	if (status != KMS_OK)
		goto done;

	/* On some machines this needs random numbers, and so the secure heap. */
	if (EVP_PKEY_derive(key->agreement, secret, &len) != 1 ||
		len != KMS_ECDH_SIZE)
		status = kms_secure_heap_is_full(2 * COORDINATE) ? KMS_NO_MEMORY :
			KMS_FAILED;

done:
	if (status != KMS_OK)
		OPENSSL_cleanse(secret, KMS_ECDH_SIZE);
	ERR_clear_error();
	return status;
}

/* Make the context and a public key on the same curve. */
static KmsStatus
prepare(KmsKeyPair *key)
{
	static const unsigned char base[COORDINATE] = {9};

	if (key->agreement != NULL)
		return KMS_OK;
	key->agreement = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	if (key->agreement == NULL ||
		EVP_PKEY_derive_init(key->agreement) != 1)
		goto failed;
	if (key->type == KMS_TYPE_X25519)
		key->peer = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL,
												   base, sizeof(base));
	else
	{
		key->peer = EVP_PKEY_new();
		if (key->peer != NULL &&
			EVP_PKEY_copy_parameters(key->peer, key->pkey) != 1)
			goto failed;
	}
	if (key->peer != NULL)
		return KMS_OK;

failed:
	EVP_PKEY_CTX_free(key->agreement);
	EVP_PKEY_free(key->peer);
	key->agreement = NULL;
	key->peer = NULL;
	return KMS_FAILED;
}

static KmsStatus
set_peer(KmsKeyPair *key, const unsigned char *x, const unsigned char *y)
{
	unsigned char point[1 + KMS_EC_KEY_MAX_POINT];
	size_t		len = COORDINATE;

	if (key->type == KMS_TYPE_X25519)
	{
		if (is_of_small_order(x))
			return KMS_BAD_FORMAT;
		memcpy(point, x, COORDINATE);
	}
	else
	{
		point[0] = POINT_CONVERSION_UNCOMPRESSED;
		memcpy(point + 1, x, COORDINATE);
		memcpy(point + 1 + COORDINATE, y, COORDINATE);
		len = 1 + 2 * COORDINATE;
	}
	if (EVP_PKEY_set1_encoded_public_key(key->peer, point, len) != 1)
		return why_not_set(key);
	if (EVP_PKEY_derive_set_peer_ex(key->agreement, key->peer, 0) != 1)
		return KMS_FAILED;
	return KMS_OK;
}

/* A point of P-256 may not be on the curve; any 32 bytes are one of X25519. */
static KmsStatus
why_not_set(const KmsKeyPair *key)
{
	if (key->type == KMS_TYPE_X25519 ||
		ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE)
		return KMS_FAILED;
	return KMS_BAD_FORMAT;
}

/*
 * Return whether X25519 gives zero for this point with any key.  These are all
 * encodings of the points whose order divides 8, on the curve and on its
 * twist.  X25519 ignores the highest bit.
 */
static bool
is_of_small_order(const unsigned char *x)
{
	static const unsigned char points[][COORDINATE] = {
		/* 0 */
		{0},
		/* 1 */
		{1},
		/* the two of order 8 */
		{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae,
			0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
			0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd,
		0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
		{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24,
			0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
			0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86,
		0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
		/* p - 1, p and p + 1 */
		{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		{0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		{0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	};
	const size_t last = COORDINATE - 1;
	size_t		i;

	for (i = 0; i < sizeof(points) / sizeof(points[0]); i++)
	{
		if (memcmp(x, points[i], last) == 0 &&
			(x[last] & 0x7f) == points[i][last])
			return true;
	}
	return false;
}
