/*
 * The format is described in docs/design/seal-and-denial.md and fixed by
 * test/unit/vectors.txt.
 *
 * Subkeys are on the stack of one function each, which wipes them at its only
 * exit.  Deriving them costs some microseconds, so none is kept between calls.
 */
#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "crypto/wrap.h"

#include "crypto/algorithm.h"
#include "crypto/encoder.h"
#include "crypto/kdf.h"
#include "crypto/wrap_fixed.h"

#define FORMAT			0x01
#define AES_KEY_SIZE	32		/* bytes */
#define COMMITMENT_SIZE 32		/* bytes */
#define TAG_SIZE		16		/* bytes */
#define HEADER_SIZE		(1 + KMS_MASTER_KEY_ID_SIZE)

/*
 * The longest contexts: purpose, key id, device id and algorithm, with some
 * room.
 */
#define INFO_MAX		256		/* bytes */
#define DATA_MAX		1280	/* bytes */

#define SALT_AT			HEADER_SIZE
#define NONCE_AT		(SALT_AT + KMS_WRAP_SALT_SIZE)
#define COMMITMENT_AT	(NONCE_AT + KMS_WRAP_NONCE_SIZE)
#define CONTENT_AT		(COMMITMENT_AT + COMMITMENT_SIZE)

#if CONTENT_AT + TAG_SIZE != KMS_WRAP_OVERHEAD
#error "the wrap format and KMS_WRAP_OVERHEAD differ"
#endif

typedef struct Subkeys
{
	unsigned char aes[AES_KEY_SIZE];
	unsigned char commitment[COMMITMENT_SIZE];
} Subkeys;

typedef struct AssociatedData
{
	unsigned char bytes[DATA_MAX];
	int			len;
} AssociatedData;

static KmsStatus derive_subkeys(const KmsMasterKey *master,
								const KmsWrapContext *context,
								const unsigned char *salt, Subkeys *subkeys);
static KmsStatus encode_data(const KmsWrapContext *context,
							 AssociatedData *data);
static KmsStatus gcm_encrypt(const Subkeys *subkeys,
							 const unsigned char *nonce,
							 const AssociatedData *data,
							 const unsigned char *in, int in_len,
							 unsigned char *out, unsigned char *tag);
static KmsStatus gcm_decrypt(const Subkeys *subkeys,
							 const unsigned char *nonce,
							 const AssociatedData *data,
							 const unsigned char *in, int in_len,
							 const unsigned char *tag, unsigned char *out);
static KmsStatus check_header(const KmsMasterKey *master,
							  const unsigned char *id);

KmsStatus
kms_wrap(const KmsMasterKey *master, const KmsWrapContext *context,
		 const unsigned char *in, size_t in_len,
		 unsigned char *out, size_t *out_len)
{
	unsigned char random[KMS_WRAP_SALT_SIZE + KMS_WRAP_NONCE_SIZE];
	KmsStatus	status = KMS_FAILED;

	ERR_clear_error();
	if (RAND_bytes(random, sizeof(random)) == 1)
		status = kms_wrap_fixed(master, context,
								random, random + KMS_WRAP_SALT_SIZE,
								in, in_len, out, out_len);
	else
	{
		OPENSSL_cleanse(out, in_len + KMS_WRAP_OVERHEAD);
		*out_len = 0;
	}
	ERR_clear_error();
	return status;
}

KmsStatus
kms_wrap_fixed(const KmsMasterKey *master, const KmsWrapContext *context,
			   const unsigned char *salt, const unsigned char *nonce,
			   const unsigned char *in, size_t in_len,
			   unsigned char *out, size_t *out_len)
{
	Subkeys		subkeys;
	AssociatedData data;
	KmsStatus	status = KMS_BAD_FORMAT;

	*out_len = 0;
	if (in_len < 1 || in_len > INT_MAX - KMS_WRAP_OVERHEAD)
		goto done;
	status = encode_data(context, &data);
	if (status != KMS_OK)
		goto done;
	status = derive_subkeys(master, context, salt, &subkeys);
	if (status != KMS_OK)
		goto done;

	out[0] = FORMAT;
	memcpy(out + 1, master->id, KMS_MASTER_KEY_ID_SIZE);
	memcpy(out + SALT_AT, salt, KMS_WRAP_SALT_SIZE);
	memcpy(out + NONCE_AT, nonce, KMS_WRAP_NONCE_SIZE);
	memcpy(out + COMMITMENT_AT, subkeys.commitment, COMMITMENT_SIZE);
	status = gcm_encrypt(&subkeys, nonce, &data, in, (int) in_len,
						 out + CONTENT_AT, out + CONTENT_AT + in_len);

done:
	if (status == KMS_OK)
		*out_len = in_len + KMS_WRAP_OVERHEAD;
	else if (in_len <= INT_MAX - KMS_WRAP_OVERHEAD)
		OPENSSL_cleanse(out, in_len + KMS_WRAP_OVERHEAD);
	OPENSSL_cleanse(&subkeys, sizeof(subkeys));
	return status;
}

KmsStatus
kms_wrap_open(const KmsMasterKey *master, const KmsWrapContext *context,
			  const unsigned char *in, size_t in_len,
			  unsigned char *out, size_t *out_len)
{
	Subkeys		subkeys;
	AssociatedData data;
	KmsStatus	status = KMS_NOT_AUTHENTIC;
	size_t		len = 0;

	*out_len = 0;
	if (in_len <= KMS_WRAP_OVERHEAD || in_len > INT_MAX)
		goto done;
	len = in_len - KMS_WRAP_OVERHEAD;
	status = check_header(master, kms_wrap_master_key_id(in, in_len));
	if (status != KMS_OK)
		goto done;

	status = encode_data(context, &data);
	if (status == KMS_OK)
		status = derive_subkeys(master, context, in + SALT_AT, &subkeys);
	if (status == KMS_BAD_FORMAT)
		status = KMS_NOT_AUTHENTIC; /* nothing can be wrapped for it */
	if (status != KMS_OK)
		goto done;

	status = KMS_NOT_AUTHENTIC;
	if (CRYPTO_memcmp(subkeys.commitment, in + COMMITMENT_AT,
					  COMMITMENT_SIZE) != 0)
		goto done;
	status = gcm_decrypt(&subkeys, in + NONCE_AT, &data,
						 in + CONTENT_AT, (int) len,
						 in + CONTENT_AT + len, out);

done:
	if (status == KMS_OK)
		*out_len = len;
	else
		OPENSSL_cleanse(out, len);
	OPENSSL_cleanse(&subkeys, sizeof(subkeys));
	return status;
}

static KmsStatus
derive_subkeys(const KmsMasterKey *master, const KmsWrapContext *context,
			   const unsigned char *salt, Subkeys *subkeys)
{
	unsigned char info[INFO_MAX];
	unsigned char keys[AES_KEY_SIZE + COMMITMENT_SIZE];
	KmsEncoder	enc;
	bool		ok;

	kms_encoder_init(&enc, info, sizeof(info));
	kms_encoder_text(&enc, "kms/wrap/v1");
	kms_encoder_text(&enc, context->purpose);
	kms_encoder_text(&enc, context->key_id);
	if (!kms_encoder_ok(&enc))
		return KMS_BAD_FORMAT;

	ok = kms_kdf_hkdf_sha256(master->key, KMS_MASTER_KEY_SIZE,
							 salt, KMS_WRAP_SALT_SIZE, info, enc.len,
							 keys, sizeof(keys));
	memcpy(subkeys->aes, keys, AES_KEY_SIZE);
	memcpy(subkeys->commitment, keys + AES_KEY_SIZE, COMMITMENT_SIZE);
	OPENSSL_cleanse(keys, sizeof(keys));
	return ok ? KMS_OK : KMS_FAILED;
}

static KmsStatus
encode_data(const KmsWrapContext *context, AssociatedData *data)
{
	KmsEncoder	enc;

	kms_encoder_init(&enc, data->bytes, sizeof(data->bytes));
	kms_encoder_text(&enc, "kms/wrap-data/v1");
	kms_encoder_text(&enc, context->purpose);
	kms_encoder_text(&enc, context->key_id);
	kms_encoder_text(&enc, context->device_id);
	kms_encoder_text(&enc, context->algorithm);
	kms_encoder_int64(&enc, context->created_at);
	kms_encoder_bytes(&enc, context->public_hash, KMS_SHA256_SIZE);
	data->len = (int) enc.len;
	return kms_encoder_ok(&enc) ? KMS_OK : KMS_BAD_FORMAT;
}

static KmsStatus
gcm_encrypt(const Subkeys *subkeys, const unsigned char *nonce,
			const AssociatedData *data, const unsigned char *in, int in_len,
			unsigned char *out, unsigned char *tag)
{
	EVP_CIPHER_CTX *ctx;
	KmsStatus	status = KMS_FAILED;
	int			data_len = 0;
	int			len = 0;
	int			rest = 0;

	ERR_clear_error();
	ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL)
		goto done;
	if (EVP_EncryptInit_ex2(ctx, kms_algorithm_aes(KMS_AES_GCM, AES_KEY_SIZE),
							subkeys->aes, nonce, NULL) != 1)
		goto done;
	if (EVP_EncryptUpdate(ctx, NULL, &data_len, data->bytes, data->len) != 1)
		goto done;
	if (EVP_EncryptUpdate(ctx, out, &len, in, in_len) != 1)
		goto done;
	if (EVP_EncryptFinal_ex(ctx, out + len, &rest) != 1)
		goto done;
	if (len != in_len || rest != 0)
		goto done;
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, tag) != 1)
		goto done;
	status = KMS_OK;

done:
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return status;
}

/* The content of "out" may be used only after KMS_OK. */
static KmsStatus
gcm_decrypt(const Subkeys *subkeys, const unsigned char *nonce,
			const AssociatedData *data, const unsigned char *in, int in_len,
			const unsigned char *tag, unsigned char *out)
{
	EVP_CIPHER_CTX *ctx;
	KmsStatus	status = KMS_FAILED;
	int			data_len = 0;
	int			len = 0;
	int			rest = 0;

	ERR_clear_error();
	ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL)
		goto done;
	if (EVP_DecryptInit_ex2(ctx, kms_algorithm_aes(KMS_AES_GCM, AES_KEY_SIZE),
							subkeys->aes, nonce, NULL) != 1)
		goto done;
	if (EVP_DecryptUpdate(ctx, NULL, &data_len, data->bytes, data->len) != 1)
		goto done;
	if (EVP_DecryptUpdate(ctx, out, &len, in, in_len) != 1)
		goto done;
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE,
							(void *) tag) != 1)
		goto done;
	status = KMS_NOT_AUTHENTIC;
	if (EVP_DecryptFinal_ex(ctx, out + len, &rest) == 1 &&
		len == in_len && rest == 0)
		status = KMS_OK;

done:
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return status;
}

const unsigned char *
kms_wrap_master_key_id(const unsigned char *wrap, size_t len)
{
	if (wrap == NULL || len <= KMS_WRAP_OVERHEAD || wrap[0] != FORMAT)
		return NULL;
	return wrap + 1;
}

static KmsStatus
check_header(const KmsMasterKey *master, const unsigned char *id)
{
	if (id == NULL)
		return KMS_NOT_AUTHENTIC;
	if (memcmp(id, master->id, KMS_MASTER_KEY_ID_SIZE) != 0)
		return KMS_OTHER_MASTER_KEY;
	return KMS_OK;
}
