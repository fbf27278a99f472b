#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/jwe_encrypt.h"

#include "crypto/aead.h"
#include "crypto/concat_kdf.h"
#include "crypto/ec_generate.h"
#include "crypto/ec_key.h"
#include "crypto/ecdh.h"
#include "crypto/jwe_encrypt_fixed.h"
#include "crypto/key_pair_struct.h"
#include "crypto/key_wrap.h"
#include "crypto/rsa_oaep.h"
#include "crypto/secure_heap.h"

static KmsStatus encrypt_key(KmsKeyPair *key, KmsJweDraft *draft);
static KmsStatus agree_on_key(KmsKeyPair *key, KmsKeyPair *ephemeral,
							  KmsJweDraft *draft);
static KmsStatus derive(const KmsJweDraft *draft, const unsigned char *secret,
						unsigned char *derived);

KmsStatus
kms_jwe_encrypt_begin(KmsKeyPair *key, KmsJweAlg alg, KmsJweEnc enc,
					  KmsJweDraft *draft)
{
	unsigned char cek[KMS_JWE_CEK_MAX];
	unsigned char iv[KMS_JWE_IV_MAX];
	KmsKeyPair *ephemeral = NULL;
	KmsStatus	status = KMS_OK;

	ERR_clear_error();
	memset(draft, 0, sizeof(*draft));
	if (RAND_priv_bytes(cek, sizeof(cek)) != 1 ||
		RAND_bytes(iv, sizeof(iv)) != 1)
		status = kms_secure_heap_is_full(KMS_RSA_MAX_BLOCK) ? KMS_NO_MEMORY :
			KMS_FAILED;
	if (status == KMS_OK && kms_key_pair_type(key) != KMS_TYPE_RSA)
		status = kms_ec_generate_ephemeral(kms_key_pair_type(key), &ephemeral);
	if (status == KMS_OK)
		status = kms_jwe_encrypt_begin_fixed(key, alg, enc, ephemeral, cek, iv,
											 draft);
	kms_key_pair_free(ephemeral);
	OPENSSL_cleanse(cek, sizeof(cek));
	ERR_clear_error();
	return status;
}

KmsStatus
kms_jwe_encrypt_begin_fixed(KmsKeyPair *key, KmsJweAlg alg, KmsJweEnc enc,
							KmsKeyPair *ephemeral, const unsigned char *cek,
							const unsigned char *iv, KmsJweDraft *draft)
{
	KmsStatus	status = KMS_BAD_KEY;

	memset(draft, 0, sizeof(*draft));
	if (!kms_jwe_algorithm_fits(alg, kms_key_pair_type(key)) ||
		enc == KMS_JWE_ENC_NONE)
		return status;
	draft->alg = alg;
	draft->enc = enc;
	draft->iv_len = kms_jwe_algorithm_iv_size(enc);
	memcpy(draft->iv, iv, draft->iv_len);
	if (cek != NULL)
		memcpy(draft->cek, cek, kms_jwe_algorithm_cek_size(enc));
	status = kms_key_pair_type(key) == KMS_TYPE_RSA ? encrypt_key(key, draft) :
		agree_on_key(key, ephemeral, draft);
	if (status != KMS_OK)
		OPENSSL_cleanse(draft, sizeof(*draft));
	return status;
}

static KmsStatus
encrypt_key(KmsKeyPair *key, KmsJweDraft *draft)
{
	KmsOaep		oaep = {kms_jwe_algorithm_digest(draft->alg), KMS_DIGEST_NONE,
	NULL, 0};

	return kms_rsa_oaep_encrypt(key, &oaep, draft->cek,
								kms_jwe_algorithm_cek_size(draft->enc),
								draft->encrypted_key,
								&draft->encrypted_key_len);
}

static KmsStatus
agree_on_key(KmsKeyPair *key, KmsKeyPair *ephemeral, KmsJweDraft *draft)
{
	size_t		size = kms_jwe_algorithm_cek_size(draft->enc);
	size_t		kek_size = kms_jwe_algorithm_wrapping_size(draft->alg);
	unsigned char point[KMS_EC_KEY_MAX_POINT] = {0};
	unsigned char own[KMS_EC_KEY_MAX_POINT] = {0};
	unsigned char secret[KMS_ECDH_SIZE];
	unsigned char derived[KMS_JWE_CEK_MAX];
	KmsStatus	status = KMS_FAILED;

	if (!kms_ec_key_point(key->pkey, key->type, point) ||
		!kms_ec_key_point(ephemeral->pkey, ephemeral->type, own))
		goto done;
	memcpy(draft->epk_x, own, KMS_COORDINATE_SIZE);
	memcpy(draft->epk_y, own + KMS_COORDINATE_SIZE, KMS_COORDINATE_SIZE);
	status = kms_ecdh_agree(ephemeral, point, point + KMS_COORDINATE_SIZE,
							secret);
	if (status == KMS_BAD_FORMAT)
		status = KMS_BAD_KEY;	/* the point is not the caller's */
	if (status == KMS_OK)
		status = derive(draft, secret, derived);
	if (status == KMS_OK && kek_size == 0)
		memcpy(draft->cek, derived, size);
	else if (status == KMS_OK)
	{
		status = kms_key_wrap(derived, kek_size, draft->cek, size,
							  draft->encrypted_key);
		draft->encrypted_key_len = size + KMS_KEY_WRAP_OVERHEAD;
	}

done:
	OPENSSL_cleanse(secret, sizeof(secret));
	OPENSSL_cleanse(derived, sizeof(derived));
	return status;
}

static KmsStatus
derive(const KmsJweDraft *draft, const unsigned char *secret,
	   unsigned char *derived)
{
	KmsConcatInfo info = {
		kms_jwe_algorithm_derived_name(draft->alg, draft->enc),
		NULL, 0, NULL, 0
	};

	return kms_concat_kdf(secret, KMS_ECDH_SIZE, &info, derived,
						  kms_jwe_algorithm_derived_size(draft->alg,
														 draft->enc)) ?
		KMS_OK : KMS_FAILED;
}

KmsStatus
kms_jwe_encrypt_finish(KmsJweDraft *draft, const unsigned char *aad,
					   size_t aad_len, const unsigned char *in, size_t in_len,
					   unsigned char *out, size_t *out_len)
{
	KmsAead		aead = {draft->enc, draft->cek, draft->iv, aad, aad_len};
	KmsStatus	status;

	status = kms_aead_encrypt(&aead, in, in_len, out, out_len, draft->tag);
	if (status == KMS_OK)
		draft->tag_len = kms_jwe_algorithm_tag_size(draft->enc);
	OPENSSL_cleanse(draft->cek, sizeof(draft->cek));
	return status;
}
