/*
 * Setting up a context costs several microseconds, copying one 0.1.  So each
 * key keeps a template for each pair of digests that encrypts, and an
 * operation works on a copy, so that a label never outlives its call.
 *
 * To decrypt, OpenSSL's two steps are called one by one: the private operation
 * and the check of the padding.  Together, they leave the padded block in the
 * ordinary heap, and nobody needs a key to take the padding off.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* for RSA_padding_check_PKCS1_OAEP_mgf1 */

#include <limits.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "crypto/rsa_oaep.h"

#include "crypto/algorithm.h"
#include "crypto/constant_time.h"
#include "crypto/key_pair_struct.h"
#include "crypto/secure_heap.h"

#define PAIR_TEST_SIZE	32		/* bytes */

static KmsStatus open_block(KmsKeyPair *key, const KmsOaep *oaep,
							const unsigned char *in, size_t in_len,
							unsigned char *out, int *opened);
static KmsStatus take_padding_off(const KmsKeyPair *key, const KmsOaep *oaep,
								  const unsigned char *padded,
								  unsigned char *out, int *opened);
static KmsStatus finish_block(const KmsKeyPair *key, KmsStatus status,
							  int opened, unsigned char *out, size_t *out_len);
static KmsStatus finish_block_or(KmsStatus status, int opened,
								 unsigned char *plain,
								 const unsigned char *instead, size_t size,
								 unsigned char *out);
static EVP_PKEY_CTX *new_raw(EVP_PKEY *pkey);
static KmsStatus new_operation(KmsKeyPair *key, const KmsOaep *oaep,
							   EVP_PKEY_CTX **ctx);
static KmsStatus find_template(KmsKeyPair *key, const KmsOaep *oaep,
							   KmsOaepTemplate **found);
static EVP_PKEY_CTX *new_context(EVP_PKEY *pkey, KmsDigest digest,
								 KmsDigest mgf1);
static OSSL_PARAM option(const char *name, const char *value);
static bool set_label(EVP_PKEY_CTX *ctx, const unsigned char *label,
					  size_t len);

size_t
kms_rsa_oaep_max_plaintext(const KmsKeyPair *key, KmsDigest digest)
{
	size_t		block = kms_key_pair_block_size(key);
	size_t		overhead = 2 * kms_digest_size(digest) + 2;

	if (kms_digest_size(digest) == 0 || block < overhead)
		return 0;
	return block - overhead;
}

KmsStatus
kms_rsa_oaep_encrypt(KmsKeyPair *key, const KmsOaep *oaep, const unsigned char *in,
					 size_t in_len, unsigned char *out, size_t *out_len)
{
	EVP_PKEY_CTX *ctx = NULL;
	size_t		block = kms_key_pair_block_size(key);
	KmsStatus	status;

	ERR_clear_error();
	*out_len = 0;
	status = KMS_BAD_KEY;
	if (key->type != KMS_TYPE_RSA)
		goto done;
	status = new_operation(key, oaep, &ctx);
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
kms_rsa_oaep_decrypt(KmsKeyPair *key, const KmsOaep *oaep, const unsigned char *in,
					 size_t in_len, unsigned char *out, size_t *out_len)
{
	KmsStatus	status;
	int			opened;

	ERR_clear_error();
	status = open_block(key, oaep, in, in_len, out, &opened);
	return finish_block(key, status, opened, out, out_len);
}

KmsStatus
kms_rsa_oaep_decode(const KmsKeyPair *key, const KmsOaep *oaep,
					const unsigned char *padded, unsigned char *out,
					size_t *out_len)
{
	KmsStatus	status;
	int			opened;

	ERR_clear_error();
	status = take_padding_off(key, oaep, padded, out, &opened);
	return finish_block(key, status, opened, out, out_len);
}

static KmsStatus
finish_block(const KmsKeyPair *key, KmsStatus status, int opened,
			 unsigned char *out, size_t *out_len)
{
	size_t		block = kms_key_pair_block_size(key);

	*out_len = 0;
	if (status == KMS_OK && opened < 0)
		status = kms_secure_heap_why_rejected(block);
	if (status == KMS_OK)
		*out_len = (size_t) opened;
	else
		OPENSSL_cleanse(out, block);
	ERR_clear_error();
	return status;
}

KmsStatus
kms_rsa_oaep_decrypt_or(KmsKeyPair *key, const KmsOaep *oaep,
						const unsigned char *in, size_t in_len,
						const unsigned char *instead, size_t size,
						unsigned char *out)
{
	unsigned char plain[KMS_RSA_MAX_BLOCK] = {0};
	KmsStatus	status = KMS_BAD_LENGTH;
	int			opened = -1;

	ERR_clear_error();
	if (size <= sizeof(plain))
		status = open_block(key, oaep, in, in_len, plain, &opened);
	return finish_block_or(status, opened, plain, instead, size, out);
}

KmsStatus
kms_rsa_oaep_decode_or(const KmsKeyPair *key, const KmsOaep *oaep,
					   const unsigned char *padded,
					   const unsigned char *instead, size_t size,
					   unsigned char *out)
{
	unsigned char plain[KMS_RSA_MAX_BLOCK] = {0};
	KmsStatus	status = KMS_BAD_LENGTH;
	int			opened = -1;

	ERR_clear_error();
	if (size <= sizeof(plain))
		status = take_padding_off(key, oaep, padded, plain, &opened);
	return finish_block_or(status, opened, plain, instead, size, out);
}

/* "plain" holds a block, and is wiped. */
static KmsStatus
finish_block_or(KmsStatus status, int opened, unsigned char *plain,
				const unsigned char *instead, size_t size, unsigned char *out)
{
	if (status == KMS_OK)
		kms_constant_time_select(kms_constant_time_equal((size_t) opened, size),
								 plain, instead, out, size);
	else
		OPENSSL_cleanse(out, size);
	OPENSSL_cleanse(plain, KMS_RSA_MAX_BLOCK);
	ERR_clear_error();
	return status;
}

/*
 * Decrypt a block to "out", which holds a block.  On KMS_OK, *opened is the
 * length of the plaintext, or -1 if the block does not open; "out" is as it
 * was then.  The time does not tell these apart, except for a ciphertext that
 * is no number below the modulus, which anybody can see.  Any other failure of
 * the private operation is not the ciphertext's, and has a status of its own.
 */
static KmsStatus
open_block(KmsKeyPair *key, const KmsOaep *oaep, const unsigned char *in,
		   size_t in_len, unsigned char *out, int *opened)
{
	unsigned char padded[KMS_RSA_MAX_BLOCK] = {0};
	size_t		block = kms_key_pair_block_size(key);
	size_t		len = sizeof(padded);
	KmsStatus	status;

	if (key->type != KMS_TYPE_RSA || !key->is_private)
		return KMS_BAD_KEY;

	/*
	 * OpenSSL accepts shorter ciphertexts, and its errors differ; that must
	 * not show.
	 */
	if (in_len != block)
		return KMS_BAD_LENGTH;
	if (key->raw == NULL)
		key->raw = new_raw(key->pkey);
	if (key->raw == NULL)
		return KMS_FAILED;

	if (EVP_PKEY_decrypt(key->raw, padded, &len, in, in_len) != 1)
	{
		OPENSSL_cleanse(padded, sizeof(padded));
		if (ERR_GET_REASON(ERR_peek_last_error()) !=
			RSA_R_DATA_TOO_LARGE_FOR_MODULUS)
			return kms_secure_heap_is_full(block) ? KMS_NO_MEMORY : KMS_FAILED;
	}
	status = take_padding_off(key, oaep, padded, out, opened);
	OPENSSL_cleanse(padded, sizeof(padded));
	return status;
}

static KmsStatus
take_padding_off(const KmsKeyPair *key, const KmsOaep *oaep,
				 const unsigned char *padded, unsigned char *out, int *opened)
{
	const EVP_MD *digest = kms_algorithm_digest(oaep->digest);
	const EVP_MD *mgf1 = digest;
	int			block = (int) kms_key_pair_block_size(key);

	if (oaep->mgf1 != KMS_DIGEST_NONE)
		mgf1 = kms_algorithm_digest(oaep->mgf1);
	if (digest == NULL || mgf1 == NULL || oaep->label_len > INT_MAX)
		return KMS_FAILED;
	*opened = RSA_padding_check_PKCS1_OAEP_mgf1(out, block, padded, block,
												block, oaep->label,
												(int) oaep->label_len,
												digest, mgf1);
	return KMS_OK;
}

static EVP_PKEY_CTX *
new_raw(EVP_PKEY *pkey)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

	if (ctx != NULL && (EVP_PKEY_decrypt_init(ctx) != 1 ||
						EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) != 1))
	{
		EVP_PKEY_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

/* Make a context for one call.  The caller frees it, also on failure. */
static KmsStatus
new_operation(KmsKeyPair *key, const KmsOaep *oaep, EVP_PKEY_CTX **ctx)
{
	KmsOaepTemplate *template;
	KmsStatus	status;

	status = find_template(key, oaep, &template);
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
find_template(KmsKeyPair *key, const KmsOaep *oaep, KmsOaepTemplate **found)
{
	KmsDigest	mgf1 = oaep->mgf1;
	KmsOaepTemplate *template;

	if (mgf1 == KMS_DIGEST_NONE)
		mgf1 = oaep->digest;
	for (template = key->templates; template != NULL; template = template->next)
	{
		if (template->digest == oaep->digest && template->mgf1 == mgf1)
		{
			*found = template;
			return KMS_OK;
		}
	}

	template = OPENSSL_zalloc(sizeof(*template));
	if (template == NULL)
		return KMS_NO_MEMORY;
	template->ctx = new_context(key->pkey, oaep->digest, mgf1);
	if (template->ctx == NULL)
	{
		OPENSSL_free(template);
		return KMS_FAILED;
	}
	template->digest = oaep->digest;
	template->mgf1 = mgf1;
	template->next = key->templates;
	key->templates = template;
	*found = template;
	return KMS_OK;
}

/* Set all options at once; one by one they cost half as much again. */
static EVP_PKEY_CTX *
new_context(EVP_PKEY *pkey, KmsDigest digest, KmsDigest mgf1)
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
	ok = EVP_PKEY_encrypt_init_ex(ctx, params) == 1;

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
kms_rsa_oaep_check_pair(KmsKeyPair *key)
{
	KmsOaep		oaep = {KMS_SHA256, KMS_DIGEST_NONE, NULL, 0};
	unsigned char plain[PAIR_TEST_SIZE];
	unsigned char cipher[KMS_RSA_MAX_BLOCK];
	unsigned char again[KMS_RSA_MAX_BLOCK];
	size_t		cipher_len;
	size_t		again_len;
	KmsStatus	status = KMS_FAILED;

	ERR_clear_error();
	if (RAND_bytes(plain, sizeof(plain)) == 1 &&
		kms_rsa_oaep_encrypt(key, &oaep, plain, sizeof(plain),
							 cipher, &cipher_len) == KMS_OK &&
		kms_rsa_oaep_decrypt(key, &oaep, cipher, cipher_len,
							 again, &again_len) == KMS_OK &&
		again_len == sizeof(plain) &&
		CRYPTO_memcmp(plain, again, sizeof(plain)) == 0)
		status = KMS_OK;
	ERR_clear_error();
	return status;
}
