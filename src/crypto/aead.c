#include <limits.h>
#include <stdint.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "crypto/aead.h"

#include "crypto/algorithm.h"

#define BLOCK		16			/* bytes of AES */
#define GCM_TAG		16			/* bytes */
#define LEN_MAX		(INT_MAX - BLOCK)

static KmsStatus gcm_encrypt(const KmsAead *aead, const unsigned char *in,
							 size_t in_len, unsigned char *out,
							 size_t *out_len, unsigned char *tag);
static KmsStatus gcm_decrypt(const KmsAead *aead, const unsigned char *in,
							 size_t in_len, const unsigned char *tag,
							 unsigned char *out, size_t *out_len);
static EVP_CIPHER_CTX *new_gcm(const KmsAead *aead, int encrypt);
static KmsStatus cbc_encrypt(const KmsAead *aead, const unsigned char *in,
							 size_t in_len, unsigned char *out,
							 size_t *out_len, unsigned char *tag);
static KmsStatus cbc_decrypt(const KmsAead *aead, const unsigned char *in,
							 size_t in_len, const unsigned char *tag,
							 unsigned char *out, size_t *out_len);
static bool cbc(const KmsAead *aead, int encrypt, const unsigned char *in,
				size_t in_len, unsigned char *out, size_t *out_len);
static bool hmac(const KmsAead *aead, const unsigned char *content,
				 size_t len, unsigned char *mac);
static const char *digest_of(KmsJweEnc enc);

size_t
kms_aead_ciphertext_size(KmsJweEnc enc, size_t len)
{
	if (len > LEN_MAX)
		return 0;
	if (kms_jwe_algorithm_is_cbc(enc))
		return len - len % BLOCK + BLOCK;
	return len;
}

KmsStatus
kms_aead_encrypt(const KmsAead *aead, const unsigned char *in, size_t in_len,
				 unsigned char *out, size_t *out_len, unsigned char *tag)
{
	KmsStatus	status = KMS_TOO_LONG;

	ERR_clear_error();
	*out_len = 0;
	if (in_len <= LEN_MAX && aead->aad_len <= LEN_MAX)
		status = (kms_jwe_algorithm_is_cbc(aead->enc) ? cbc_encrypt :
				  gcm_encrypt) (aead, in, in_len, out, out_len, tag);
	if (status != KMS_OK)
	{
		OPENSSL_cleanse(out, kms_aead_ciphertext_size(aead->enc, in_len));
		OPENSSL_cleanse(tag, kms_jwe_algorithm_tag_size(aead->enc));
		*out_len = 0;
	}
	ERR_clear_error();
	return status;
}

KmsStatus
kms_aead_decrypt(const KmsAead *aead, const unsigned char *in, size_t in_len,
				 const unsigned char *tag, unsigned char *out, size_t *out_len)
{
	KmsStatus	status = KMS_TOO_LONG;

	ERR_clear_error();
	*out_len = 0;
	if (in_len <= LEN_MAX && aead->aad_len <= LEN_MAX)
		status = (kms_jwe_algorithm_is_cbc(aead->enc) ? cbc_decrypt :
				  gcm_decrypt) (aead, in, in_len, tag, out, out_len);
	if (status != KMS_OK)
	{
		OPENSSL_cleanse(out, in_len);
		*out_len = 0;
	}
	ERR_clear_error();
	return status;
}

static KmsStatus
gcm_encrypt(const KmsAead *aead, const unsigned char *in, size_t in_len,
			unsigned char *out, size_t *out_len, unsigned char *tag)
{
	EVP_CIPHER_CTX *ctx;
	KmsStatus	status = KMS_FAILED;
	int			len = 0;
	int			rest = 0;

	ctx = new_gcm(aead, 1);
	if (ctx == NULL)
		goto done;
	if (in_len > 0 && EVP_EncryptUpdate(ctx, out, &len, in, (int) in_len) != 1)
		goto done;
	if (EVP_EncryptFinal_ex(ctx, out + len, &rest) != 1)
		goto done;
	if ((size_t) len != in_len || rest != 0)
		goto done;
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, tag) != 1)
		goto done;
	*out_len = in_len;
	status = KMS_OK;

done:
	EVP_CIPHER_CTX_free(ctx);
	return status;
}

static KmsStatus
gcm_decrypt(const KmsAead *aead, const unsigned char *in, size_t in_len,
			const unsigned char *tag, unsigned char *out, size_t *out_len)
{
	EVP_CIPHER_CTX *ctx;
	KmsStatus	status = KMS_FAILED;
	int			len = 0;
	int			rest = 0;

	ctx = new_gcm(aead, 0);
	if (ctx == NULL)
		goto done;
	if (in_len > 0 && EVP_DecryptUpdate(ctx, out, &len, in, (int) in_len) != 1)
		goto done;
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG,
							(void *) tag) != 1)
		goto done;
	status = KMS_REJECTED;
	if (EVP_DecryptFinal_ex(ctx, out + len, &rest) == 1 &&
		(size_t) len == in_len && rest == 0)
	{
		*out_len = in_len;
		status = KMS_OK;
	}

done:
	EVP_CIPHER_CTX_free(ctx);
	return status;
}

static EVP_CIPHER_CTX *
new_gcm(const KmsAead *aead, int encrypt)
{
	size_t		key_size = kms_jwe_algorithm_cek_size(aead->enc);
	EVP_CIPHER_CTX *ctx;
	int			len;

	ctx = EVP_CIPHER_CTX_new();
	if (ctx != NULL &&
		(EVP_CipherInit_ex2(ctx, kms_algorithm_aes(KMS_AES_GCM, key_size),
							aead->cek, aead->iv, encrypt, NULL) != 1 ||
		 (aead->aad_len > 0 &&
		  EVP_CipherUpdate(ctx, NULL, &len, aead->aad,
						   (int) aead->aad_len) != 1)))
	{
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

static KmsStatus
cbc_encrypt(const KmsAead *aead, const unsigned char *in, size_t in_len,
			unsigned char *out, size_t *out_len, unsigned char *tag)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	KmsStatus	status = KMS_FAILED;

	if (cbc(aead, 1, in, in_len, out, out_len) &&
		*out_len == kms_aead_ciphertext_size(aead->enc, in_len) &&
		hmac(aead, out, *out_len, mac))
	{
		memcpy(tag, mac, kms_jwe_algorithm_tag_size(aead->enc));
		status = KMS_OK;
	}
	OPENSSL_cleanse(mac, sizeof(mac));
	return status;
}

/* Only authentic content can fail for its padding, so that may show. */
static KmsStatus
cbc_decrypt(const KmsAead *aead, const unsigned char *in, size_t in_len,
			const unsigned char *tag, unsigned char *out, size_t *out_len)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	KmsStatus	status = KMS_FAILED;

	if (hmac(aead, in, in_len, mac))
	{
		status = KMS_REJECTED;
		if (CRYPTO_memcmp(mac, tag,
						  kms_jwe_algorithm_tag_size(aead->enc)) == 0 &&
			cbc(aead, 0, in, in_len, out, out_len))
			status = KMS_OK;
	}
	OPENSSL_cleanse(mac, sizeof(mac));
	return status;
}

/* AES-CBC with PKCS#7 padding.  Its key is the second half of the CEK. */
static bool
cbc(const KmsAead *aead, int encrypt, const unsigned char *in, size_t in_len,
	unsigned char *out, size_t *out_len)
{
	size_t		key_size = kms_jwe_algorithm_cek_size(aead->enc) / 2;
	EVP_CIPHER_CTX *ctx;
	bool		ok = false;
	int			len = 0;
	int			rest = 0;

	ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL)
		goto done;
	if (EVP_CipherInit_ex2(ctx, kms_algorithm_aes(KMS_AES_CBC, key_size),
						   aead->cek + key_size, aead->iv, encrypt,
						   NULL) != 1)
		goto done;
	if (in_len > 0 && EVP_CipherUpdate(ctx, out, &len, in, (int) in_len) != 1)
		goto done;
	if (EVP_CipherFinal_ex(ctx, out + len, &rest) != 1)
		goto done;
	*out_len = (size_t) len + (size_t) rest;
	ok = true;

done:
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

/*
 * Compute the HMAC of RFC 7518, 5.2.2.1: of the AAD, IV, ciphertext, and the
 * length of the AAD in bits.  Its key is the first half of the CEK.
 */
static bool
hmac(const KmsAead *aead, const unsigned char *content, size_t len,
	 unsigned char *mac)
{
	size_t		key_size = kms_jwe_algorithm_cek_size(aead->enc) / 2;
	uint64_t	bits = 8 * (uint64_t) aead->aad_len;
	unsigned char al[8];
	EVP_MAC_CTX *ctx = NULL;
	OSSL_PARAM	params[2];
	size_t		mac_len = 0;
	bool		ok = false;
	int			i;

	for (i = 0; i < 8; i++)
		al[i] = (unsigned char) (bits >> (56 - 8 * i));
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
												 (char *) digest_of(aead->enc),
												 0);
	params[1] = OSSL_PARAM_construct_end();

	if (kms_algorithm_hmac() != NULL)
		ctx = EVP_MAC_CTX_new(kms_algorithm_hmac());
	if (ctx == NULL)
		goto done;
	if (EVP_MAC_init(ctx, aead->cek, key_size, params) != 1)
		goto done;
	if (aead->aad_len > 0 &&
		EVP_MAC_update(ctx, aead->aad, aead->aad_len) != 1)
		goto done;
	if (EVP_MAC_update(ctx, aead->iv, BLOCK) != 1 ||
		EVP_MAC_update(ctx, content, len) != 1 ||
		EVP_MAC_update(ctx, al, sizeof(al)) != 1)
		goto done;
	ok = EVP_MAC_final(ctx, mac, &mac_len, EVP_MAX_MD_SIZE) == 1 &&
		mac_len >= kms_jwe_algorithm_tag_size(aead->enc);

done:
	EVP_MAC_CTX_free(ctx);
	return ok;
}

static const char *
digest_of(KmsJweEnc enc)
{
	switch (kms_jwe_algorithm_tag_size(enc))
	{
		case 16:
			return "SHA2-256";
		case 24:
			return "SHA2-384";
		default:
			return "SHA2-512";
	}
}
