#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "crypto/signature.h"

#define ALGORITHM	"ED25519"
#define RAW_SIZE	32			/* bytes of a public key within its DER */

/* SEQUENCE { SEQUENCE { OID 1.3.101.112 } BIT STRING of RAW_SIZE bytes } */
static const unsigned char spki_start[] = {
	0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00
};

#define SPKI_START_SIZE	(KMS_SIGNATURE_PUBLIC_SIZE - RAW_SIZE)

static EVP_PKEY *open_private(const unsigned char *private_key);
static KmsStatus verify(EVP_PKEY *pkey, const void *data, size_t len,
						const unsigned char *signature);

KmsStatus
kms_signature_make(unsigned char *private_key, unsigned char *public_key)
{
	EVP_PKEY   *pkey = NULL;
	KmsStatus	status = KMS_FAILED;
	size_t		raw_len = RAW_SIZE;

	ERR_clear_error();
	if (RAND_priv_bytes(private_key, KMS_SIGNATURE_PRIVATE_SIZE) != 1)
		goto done;
	pkey = open_private(private_key);
	if (pkey == NULL)
		goto done;
	memcpy(public_key, spki_start, SPKI_START_SIZE);
	if (EVP_PKEY_get_raw_public_key(pkey, public_key + SPKI_START_SIZE,
									&raw_len) == 1 &&
		raw_len == RAW_SIZE)
		status = KMS_OK;

done:
	if (status != KMS_OK)
	{
		OPENSSL_cleanse(private_key, KMS_SIGNATURE_PRIVATE_SIZE);
		OPENSSL_cleanse(public_key, KMS_SIGNATURE_PUBLIC_SIZE);
	}
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return status;
}

KmsStatus
kms_signature_sign(const unsigned char *private_key, const void *data,
				   size_t len, unsigned char *signature)
{
	EVP_MD_CTX *ctx = NULL;
	EVP_PKEY   *pkey;
	KmsStatus	status = KMS_FAILED;
	size_t		signature_len = KMS_SIGNATURE_SIZE;

	ERR_clear_error();
	pkey = open_private(private_key);
	ctx = EVP_MD_CTX_new();
	if (pkey == NULL || ctx == NULL)
		goto done;
	if (EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, pkey, NULL) != 1)
		goto done;
	if (EVP_DigestSign(ctx, signature, &signature_len, data, len) != 1)
		goto done;
	if (signature_len == KMS_SIGNATURE_SIZE &&
		verify(pkey, data, len, signature) == KMS_OK)
		status = KMS_OK;

done:
	if (status != KMS_OK)
		OPENSSL_cleanse(signature, KMS_SIGNATURE_SIZE);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return status;
}

KmsStatus
kms_signature_verify(const unsigned char *public_key, size_t public_len,
					 const void *data, size_t len,
					 const unsigned char signature[KMS_SIGNATURE_SIZE])
{
	EVP_PKEY   *pkey = NULL;
	KmsStatus	status = KMS_BAD_KEY;

	ERR_clear_error();
	if (public_len != KMS_SIGNATURE_PUBLIC_SIZE ||
		memcmp(public_key, spki_start, SPKI_START_SIZE) != 0)
		goto done;
	pkey = EVP_PKEY_new_raw_public_key_ex(NULL, ALGORITHM, NULL,
										  public_key + SPKI_START_SIZE,
										  RAW_SIZE);
	status = pkey == NULL ? KMS_FAILED : verify(pkey, data, len, signature);

done:
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return status;
}

/* OpenSSL keeps the seed in the secure heap if there is one. */
static EVP_PKEY *
open_private(const unsigned char *private_key)
{
	return EVP_PKEY_new_raw_private_key_ex(NULL, ALGORITHM, NULL, private_key,
										   KMS_SIGNATURE_PRIVATE_SIZE);
}

/*
 * OpenSSL returns 0 for a wrong signature, and may return less for a malformed
 * one.
 */
static KmsStatus
verify(EVP_PKEY *pkey, const void *data, size_t len,
	   const unsigned char *signature)
{
	EVP_MD_CTX *ctx;
	KmsStatus	status = KMS_FAILED;

	ctx = EVP_MD_CTX_new();
	if (ctx == NULL)
		goto done;
	if (EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, pkey, NULL) != 1)
		goto done;
	status = KMS_NOT_AUTHENTIC;
	if (EVP_DigestVerify(ctx, signature, KMS_SIGNATURE_SIZE, data, len) == 1)
		status = KMS_OK;

done:
	EVP_MD_CTX_free(ctx);
	return status;
}
