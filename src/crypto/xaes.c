/*
 * Values of a hundred bytes are what this file is for, so each call of OpenSSL
 * counts: both contexts are kept, the two blocks of a derived key are
 * encrypted together, and the error queue is cleared only after a failure.
 */
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/xaes.h"

#include "crypto/algorithm.h"

#define BLOCK		16			/* bytes of AES */
#define HALF		12			/* bytes: half a nonce, and an IV of GCM */
#define LEN_MAX		(INT_MAX - BLOCK)

struct KmsXaes
{
	EVP_CIPHER_CTX *ecb;		/* has the key */
	EVP_CIPHER_CTX *gcm;		/* has the key of the last message */
	unsigned char k1[BLOCK];	/* subkey of CMAC (NIST SP 800-38B, 6.1) */
};

static KmsStatus start(KmsXaes *xaes, const unsigned char *key);
static bool start_message(KmsXaes *xaes, const unsigned char *nonce,
						  const unsigned char *aad, size_t aad_len,
						  int encrypt);
static bool derive_key(KmsXaes *xaes, const unsigned char *nonce,
					   unsigned char *key);

KmsStatus
kms_xaes_new(const unsigned char *key, KmsXaes **xaes)
{
	KmsStatus	status = KMS_NO_MEMORY;

	ERR_clear_error();
	*xaes = OPENSSL_zalloc(sizeof(KmsXaes));
	if (*xaes != NULL)
		status = start(*xaes, key);
	if (status != KMS_OK)
	{
		kms_xaes_free(*xaes);
		*xaes = NULL;
	}
	ERR_clear_error();
	return status;
}

static KmsStatus
start(KmsXaes *xaes, const unsigned char *key)
{
	unsigned char carry = 0;
	int			len;
	int			i;

	xaes->ecb = EVP_CIPHER_CTX_new();
	xaes->gcm = EVP_CIPHER_CTX_new();
	if (xaes->ecb == NULL || xaes->gcm == NULL)
		return KMS_NO_MEMORY;
	if (EVP_CipherInit_ex2(xaes->gcm, kms_algorithm_aes(KMS_AES_GCM,
														KMS_XAES_KEY_SIZE),
						   NULL, NULL, 1, NULL) != 1 ||
		EVP_CipherInit_ex2(xaes->ecb, kms_algorithm_aes(KMS_AES_ECB,
														KMS_XAES_KEY_SIZE),
						   key, NULL, 1, NULL) != 1 ||
		EVP_CIPHER_CTX_set_padding(xaes->ecb, 0) != 1)
		return KMS_FAILED;

	/* L is the encryption of zeros, and K1 its double in GF(2^128). */
	if (EVP_EncryptUpdate(xaes->ecb, xaes->k1, &len, xaes->k1, BLOCK) != 1 ||
		len != BLOCK)
		return KMS_FAILED;
	for (i = BLOCK - 1; i >= 0; i--)
	{
		unsigned char byte = xaes->k1[i];

		xaes->k1[i] = (unsigned char) (byte << 1 | carry);
		carry = byte >> 7;
	}
	xaes->k1[BLOCK - 1] ^= (unsigned char) (0x87 & -carry);
	return KMS_OK;
}

void
kms_xaes_free(KmsXaes *xaes)
{
	if (xaes == NULL)
		return;
	EVP_CIPHER_CTX_free(xaes->ecb);
	EVP_CIPHER_CTX_free(xaes->gcm);
	OPENSSL_clear_free(xaes, sizeof(KmsXaes));
}

KmsStatus
kms_xaes_encrypt(KmsXaes *xaes, const unsigned char *nonce,
				 const unsigned char *aad, size_t aad_len,
				 const unsigned char *in, size_t in_len,
				 unsigned char *out, unsigned char *tag)
{
	KmsStatus	status = KMS_FAILED;
	int			len = 0;
	int			rest = 0;

	if (in_len > LEN_MAX || aad_len > LEN_MAX)
		return KMS_TOO_LONG;
	if (!start_message(xaes, nonce, aad, aad_len, 1))
		goto done;
	if (in_len > 0 &&
		EVP_EncryptUpdate(xaes->gcm, out, &len, in, (int) in_len) != 1)
		goto done;
	if (EVP_EncryptFinal_ex(xaes->gcm, out + len, &rest) != 1 ||
		(size_t) len != in_len || rest != 0)
		goto done;
	if (EVP_CIPHER_CTX_ctrl(xaes->gcm, EVP_CTRL_AEAD_GET_TAG,
							KMS_XAES_TAG_SIZE, tag) != 1)
		goto done;
	status = KMS_OK;

done:
	if (status != KMS_OK)
	{
		OPENSSL_cleanse(out, in_len);
		OPENSSL_cleanse(tag, KMS_XAES_TAG_SIZE);
		ERR_clear_error();
	}
	return status;
}

KmsStatus
kms_xaes_decrypt(KmsXaes *xaes, const unsigned char *nonce,
				 const unsigned char *aad, size_t aad_len,
				 const unsigned char *in, size_t in_len,
				 const unsigned char *tag, unsigned char *out)
{
	KmsStatus	status = KMS_FAILED;
	int			len = 0;
	int			rest = 0;

	if (in_len > LEN_MAX || aad_len > LEN_MAX)
		return KMS_TOO_LONG;
	if (!start_message(xaes, nonce, aad, aad_len, 0))
		goto done;
	if (in_len > 0 &&
		EVP_DecryptUpdate(xaes->gcm, out, &len, in, (int) in_len) != 1)
		goto done;
	if (EVP_CIPHER_CTX_ctrl(xaes->gcm, EVP_CTRL_AEAD_SET_TAG,
							KMS_XAES_TAG_SIZE, (void *) tag) != 1)
		goto done;
	status = KMS_REJECTED;
	if (EVP_DecryptFinal_ex(xaes->gcm, out + len, &rest) == 1 &&
		(size_t) len == in_len && rest == 0)
		status = KMS_OK;

done:
	if (status != KMS_OK)
	{
		OPENSSL_cleanse(out, in_len);
		ERR_clear_error();
	}
	return status;
}

static bool
start_message(KmsXaes *xaes, const unsigned char *nonce,
			  const unsigned char *aad, size_t aad_len, int encrypt)
{
	unsigned char key[KMS_XAES_KEY_SIZE];
	int			len;
	bool		ok;

	ok = derive_key(xaes, nonce, key) &&
		EVP_CipherInit_ex2(xaes->gcm, NULL, key, nonce + HALF, encrypt,
						   NULL) == 1;
	OPENSSL_cleanse(key, sizeof(key));
	return ok && (aad_len == 0 ||
				  EVP_CipherUpdate(xaes->gcm, NULL, &len, aad,
								   (int) aad_len) == 1);
}

/* Encrypt M1 ^ K1 and M2 ^ K1 where they stand. */
static bool
derive_key(KmsXaes *xaes, const unsigned char *nonce, unsigned char *key)
{
	static const unsigned char prefix[BLOCK - HALF] = {0, 1, 'X', 0};
	int			len;
	int			i;

	memcpy(key, prefix, sizeof(prefix));
	memcpy(key + sizeof(prefix), nonce, HALF);
	for (i = 0; i < BLOCK; i++)
		key[i] ^= xaes->k1[i];
	memcpy(key + BLOCK, key, BLOCK);
	key[BLOCK + 1] ^= 1 ^ 2;
	return EVP_EncryptUpdate(xaes->ecb, key, &len, key, 2 * BLOCK) == 1 &&
		len == 2 * BLOCK;
}
