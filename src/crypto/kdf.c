#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "crypto/kdf.h"

#include "crypto/algorithm.h"

/* OSSL_PARAM takes pointers to data it does not change as non-const. */
#define PARAM_BYTES(bytes) ((void *) (bytes))
#define PARAM_SHA256 ((char *) "SHA2-256")

bool
kms_kdf_hkdf_sha256(const unsigned char *key, size_t key_len,
					const unsigned char *salt, size_t salt_len,
					const unsigned char *info, size_t info_len,
					unsigned char *out, size_t out_len)
{
	EVP_KDF_CTX *ctx;
	OSSL_PARAM	params[5];
	OSSL_PARAM *p = params;
	bool		ok = false;

	ERR_clear_error();
	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
											PARAM_SHA256, 0);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY,
											 PARAM_BYTES(key), key_len);
	if (salt_len > 0)
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
												 PARAM_BYTES(salt), salt_len);
	if (info_len > 0)
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
												 PARAM_BYTES(info), info_len);
	*p = OSSL_PARAM_construct_end();

	ctx = EVP_KDF_CTX_new(kms_algorithm_hkdf());
	if (ctx == NULL)
		goto done;
	ok = EVP_KDF_derive(ctx, out, out_len, params) == 1;

done:
	if (!ok)
		OPENSSL_cleanse(out, out_len);
	EVP_KDF_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

bool
kms_kdf_hmac_sha256(const unsigned char *key, size_t key_len,
					const void *head, size_t head_len,
					const void *data, size_t data_len,
					unsigned char out[KMS_HMAC_SIZE])
{
	EVP_MAC_CTX *ctx = NULL;
	OSSL_PARAM	params[2];
	size_t		out_len = 0;
	bool		ok = false;

	ERR_clear_error();
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
												 PARAM_SHA256, 0);
	params[1] = OSSL_PARAM_construct_end();

	if (kms_algorithm_hmac() == NULL)
		goto done;
	ctx = EVP_MAC_CTX_new(kms_algorithm_hmac());
	if (ctx == NULL)
		goto done;
	if (EVP_MAC_init(ctx, key, key_len, params) != 1)
		goto done;
	if (head_len > 0 && EVP_MAC_update(ctx, head, head_len) != 1)
		goto done;
	if (data_len > 0 && EVP_MAC_update(ctx, data, data_len) != 1)
		goto done;
	ok = EVP_MAC_final(ctx, out, &out_len, KMS_HMAC_SIZE) == 1 &&
		out_len == KMS_HMAC_SIZE;

done:
	if (!ok)
		OPENSSL_cleanse(out, KMS_HMAC_SIZE);
	EVP_MAC_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}
