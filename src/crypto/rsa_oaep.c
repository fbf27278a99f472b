/*
 * Setting up a context costs several microseconds, copying one 0.1.  So each
 * key keeps a template for each pair of digests that is used, and an operation
 * works on a copy, so that a label never outlives its call.
 */
#include <limits.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "crypto/rsa_oaep.h"

#include "crypto/rsa_key_struct.h"
#include "crypto/secure_heap.h"

#define PAIR_TEST_SIZE	32		/* bytes */

static KmsStatus why_undecryptable(size_t block);
static KmsStatus new_operation(KmsRsaKey *key, const KmsOaep *oaep,
							   bool decrypt, EVP_PKEY_CTX **ctx);
static KmsStatus find_template(KmsRsaKey *key, const KmsOaep *oaep,
							   bool decrypt, KmsRsaTemplate **found);
static EVP_PKEY_CTX *new_context(EVP_PKEY *pkey, KmsDigest digest,
								 KmsDigest mgf1, bool decrypt);
static OSSL_PARAM option(const char *name, const char *value);
static bool set_label(EVP_PKEY_CTX *ctx, const unsigned char *label,
					  size_t len);

size_t
kms_rsa_oaep_max_plaintext(const KmsRsaKey *key, KmsDigest digest)
{
	size_t		block = kms_rsa_key_block_size(key);
	size_t		overhead = 2 * kms_digest_size(digest) + 2;

	if (kms_digest_size(digest) == 0 || block < overhead)
		return 0;
	return block - overhead;
}

KmsStatus
kms_rsa_oaep_encrypt(KmsRsaKey *key, const KmsOaep *oaep, const unsigned char *in,
					 size_t in_len, unsigned char *out, size_t *out_len)
{
	EVP_PKEY_CTX *ctx = NULL;
	size_t		block = kms_rsa_key_block_size(key);
	KmsStatus	status;

	ERR_clear_error();
	*out_len = 0;
	status = new_operation(key, oaep, false, &ctx);
	if (status != KMS_OK)
		goto done;
	status = KMS_TOO_LONG;
	if (in_len > kms_rsa_oaep_max_plaintext(key, oaep->digest))
		goto done;

	status = KMS_FAILED;
	*out_len = block;
	if (EVP_PKEY_encrypt(ctx, out, out_len,
						 in_len > 0 ? in : (const unsigned char *) "",
						 in_len) == 1 &&
		*out_len == block)
		status = KMS_OK;

done:
	if (status != KMS_OK)
	{
		OPENSSL_cleanse(out, block);
		*out_len = 0;
	}
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return status;
}

KmsStatus
kms_rsa_oaep_decrypt(KmsRsaKey *key, const KmsOaep *oaep, const unsigned char *in,
					 size_t in_len, unsigned char *out, size_t *out_len)
{
	EVP_PKEY_CTX *ctx = NULL;
	size_t		block = kms_rsa_key_block_size(key);
	KmsStatus	status = KMS_BAD_KEY;

	ERR_clear_error();
	*out_len = 0;
	if (!key->is_private)
		goto done;

	/*
	 * OpenSSL accepts shorter ciphertexts, and its errors differ; that must
	 * not show.
	 */
	status = KMS_BAD_LENGTH;
	if (in_len != block)
		goto done;
	status = new_operation(key, oaep, true, &ctx);
	if (status != KMS_OK)
		goto done;

	*out_len = block;
	if (EVP_PKEY_decrypt(ctx, out, out_len, in, in_len) != 1)
		status = why_undecryptable(block);

done:
	if (status != KMS_OK)
	{
		OPENSSL_cleanse(out, block);
		*out_len = 0;
	}
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return status;
}

/*
 * Return the reason for a failed decryption.  Blinding needs random numbers,
 * and their generator needs room in the secure heap when it starts or reseeds.
 * Without this check, good ciphertexts would be rejected for lack of random
 * numbers.  The check costs the same for every rejected ciphertext.
 */
static KmsStatus
why_undecryptable(size_t block)
{
	unsigned char byte;

	if (RAND_priv_bytes(&byte, 1) == 1)
		return KMS_REJECTED;
	return kms_secure_heap_is_full(block) ? KMS_NO_MEMORY : KMS_FAILED;
}

/* Make a context for one call.  The caller frees it, also on failure. */
static KmsStatus
new_operation(KmsRsaKey *key, const KmsOaep *oaep, bool decrypt,
			  EVP_PKEY_CTX **ctx)
{
	KmsRsaTemplate *template;
	KmsStatus	status;

	status = find_template(key, oaep, decrypt, &template);
	if (status != KMS_OK)
		return status;
	*ctx = EVP_PKEY_CTX_dup(template->ctx);
	if (*ctx == NULL)
		return KMS_NO_MEMORY;
	if (oaep->label_len > 0 &&
		!set_label(*ctx, oaep->label, oaep->label_len))
		return KMS_NO_MEMORY;
	return KMS_OK;
}

static KmsStatus
find_template(KmsRsaKey *key, const KmsOaep *oaep, bool decrypt,
			  KmsRsaTemplate **found)
{
	KmsDigest	mgf1 = oaep->mgf1;
	KmsRsaTemplate *template;

	if (mgf1 == KMS_DIGEST_NONE)
		mgf1 = oaep->digest;
	for (template = key->templates; template != NULL; template = template->next)
	{
		if (template->decrypt == decrypt &&
			template->digest == oaep->digest && template->mgf1 == mgf1)
		{
			*found = template;
			return KMS_OK;
		}
	}

	template = OPENSSL_zalloc(sizeof(*template));
	if (template == NULL)
		return KMS_NO_MEMORY;
	template->ctx = new_context(key->pkey, oaep->digest, mgf1, decrypt);
	if (template->ctx == NULL)
	{
		OPENSSL_free(template);
		return KMS_FAILED;
	}
	template->decrypt = decrypt;
	template->digest = oaep->digest;
	template->mgf1 = mgf1;
	template->next = key->templates;
	key->templates = template;
	*found = template;
	return KMS_OK;
}

/* Set all options at once; one by one they cost half as much again. */
static EVP_PKEY_CTX *
new_context(EVP_PKEY *pkey, KmsDigest digest, KmsDigest mgf1, bool decrypt)
{
	const char *digest_name = kms_digest_openssl_name(digest);
	const char *mgf1_name = kms_digest_openssl_name(mgf1);
	EVP_PKEY_CTX *ctx = NULL;
	OSSL_PARAM	params[4];
	bool		ok = false;

	if (digest_name == NULL || mgf1_name == NULL)
		goto done;
	params[0] = option(OSSL_ASYM_CIPHER_PARAM_PAD_MODE,
					   OSSL_PKEY_RSA_PAD_MODE_OAEP);
	params[1] = option(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, digest_name);
	params[2] = option(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, mgf1_name);
	params[3] = OSSL_PARAM_construct_end();
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (ctx == NULL)
		goto done;
	ok = (decrypt ? EVP_PKEY_decrypt_init_ex(ctx, params) :
		  EVP_PKEY_encrypt_init_ex(ctx, params)) == 1;

done:
	if (!ok)
	{
		EVP_PKEY_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

/* OSSL_PARAM takes pointers to data it does not change as non-const. */
static OSSL_PARAM
option(const char *name, const char *value)
{
	return OSSL_PARAM_construct_utf8_string(name, (char *) value, 0);
}

/* Set a copy of the label, which the context then owns. */
static bool
set_label(EVP_PKEY_CTX *ctx, const unsigned char *label, size_t len)
{
	unsigned char *copy;

	if (len > INT_MAX)
		return false;
	copy = OPENSSL_memdup(label, len);
	if (copy == NULL)
		return false;
	if (EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, (int) len) != 1)
	{
		OPENSSL_free(copy);
		return false;
	}
	return true;
}

/*
 * A fault in generating or using a key (CVE-2022-2274: wrong private
 * operations on some processors) must be noticed before a device encrypts for
 * the key.
 */
KmsStatus
kms_rsa_oaep_check_pair(KmsRsaKey *key)
{
	KmsOaep		oaep = {KMS_SHA256, KMS_DIGEST_NONE, NULL, 0};
	unsigned char plain[PAIR_TEST_SIZE];
	unsigned char cipher[KMS_RSA_MAX_BLOCK];
	unsigned char again[KMS_RSA_MAX_BLOCK];
	size_t		cipher_len;
	size_t		again_len;
	KmsStatus	status = KMS_FAILED;

	if (RAND_bytes(plain, sizeof(plain)) != 1)
		return KMS_FAILED;
	if (kms_rsa_oaep_encrypt(key, &oaep, plain, sizeof(plain),
							 cipher, &cipher_len) == KMS_OK &&
		kms_rsa_oaep_decrypt(key, &oaep, cipher, cipher_len,
							 again, &again_len) == KMS_OK &&
		again_len == sizeof(plain) &&
		CRYPTO_memcmp(plain, again, sizeof(plain)) == 0)
		status = KMS_OK;
	return status;
}
