/*
 * Each failure takes the same path: what should open the content is replaced
 * by random bytes, without a branch, and the content is tried with them.  So
 * it makes no difference in time whether the encrypted key, the content or
 * both are damaged (RFC 7516, 11.5).
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/jwe.h"

#include "crypto/aead.h"
#include "crypto/concat_kdf.h"
#include "crypto/ecdh.h"
#include "crypto/key_wrap.h"
#include "crypto/rsa_oaep.h"
#include "crypto/secure_heap.h"

#define BLOCK 16				/* bytes of AES */

static KmsStatus decrypt(KmsKeyPair *key, const KmsJwe *jwe,
						 const unsigned char *padded, unsigned char *out,
						 size_t *out_len);
static KmsStatus check_form(const KmsKeyPair *key, const KmsJwe *jwe);
static bool has_size(const KmsJweBytes *bytes, size_t size);
static KmsStatus open_key(KmsKeyPair *key, const KmsJwe *jwe,
						  const unsigned char *padded, unsigned char *cek);
static KmsStatus open_with_rsa(KmsKeyPair *key, const KmsJwe *jwe,
							   const unsigned char *padded,
							   const unsigned char *random, size_t size,
							   unsigned char *cek);
static KmsStatus agree_on_key(KmsKeyPair *key, const KmsJwe *jwe,
							  unsigned char *derived);

KmsStatus
kms_jwe_decrypt(KmsKeyPair *key, const KmsJwe *jwe, unsigned char *out,
				size_t *out_len)
{
	return decrypt(key, jwe, NULL, out, out_len);
}

KmsStatus
kms_jwe_decrypt_padded(KmsKeyPair *key, const KmsJwe *jwe,
					   const unsigned char *padded, unsigned char *out,
					   size_t *out_len)
{
	return decrypt(key, jwe, padded, out, out_len);
}

/* "padded" is NULL if the private operation is still to be done. */
static KmsStatus
decrypt(KmsKeyPair *key, const KmsJwe *jwe, const unsigned char *padded,
		unsigned char *out, size_t *out_len)
{
	unsigned char cek[KMS_JWE_CEK_MAX];
	KmsAead		aead = {jwe->enc, cek, jwe->iv.at, jwe->aad.at, jwe->aad.len};
	KmsStatus	status;

	ERR_clear_error();
	*out_len = 0;
	status = check_form(key, jwe);
	if (status == KMS_OK)
		status = open_key(key, jwe, padded, cek);
	if (status == KMS_OK)
	{
		status = kms_aead_decrypt(&aead, jwe->ciphertext.at,
								  jwe->ciphertext.len, jwe->tag.at, out,
								  out_len);
		if (status == KMS_REJECTED)
			status = kms_secure_heap_why_rejected(KMS_RSA_MAX_BLOCK);
	}
	if (status != KMS_OK)
		OPENSSL_cleanse(out, jwe->ciphertext.len);
	OPENSSL_cleanse(cek, sizeof(cek));
	ERR_clear_error();
	return status;
}

/* Check what is known before anything is opened. */
static KmsStatus
check_form(const KmsKeyPair *key, const KmsJwe *jwe)
{
	size_t		key_size = 0;
	bool		cbc = kms_jwe_algorithm_is_cbc(jwe->enc);

	if (!kms_jwe_algorithm_fits(jwe->alg, kms_key_pair_type(key)) ||
		jwe->enc == KMS_JWE_ENC_NONE)
		return KMS_BAD_KEY;
	if (kms_key_pair_type(key) == KMS_TYPE_RSA)
		key_size = kms_key_pair_block_size(key);
	else if (kms_jwe_algorithm_wrapping_size(jwe->alg) > 0)
		key_size = kms_jwe_algorithm_cek_size(jwe->enc) +
			KMS_KEY_WRAP_OVERHEAD;
	if (!has_size(&jwe->encrypted_key, key_size) ||
		!has_size(&jwe->iv, kms_jwe_algorithm_iv_size(jwe->enc)) ||
		!has_size(&jwe->tag, kms_jwe_algorithm_tag_size(jwe->enc)) ||
		jwe->apu_len > KMS_JWE_PARTY_MAX || jwe->apv_len > KMS_JWE_PARTY_MAX)
		return KMS_BAD_FORMAT;
	if (cbc && (jwe->ciphertext.len == 0 || jwe->ciphertext.len % BLOCK != 0))
		return KMS_BAD_FORMAT;
	return KMS_OK;
}

static bool
has_size(const KmsJweBytes *bytes, size_t size)
{
	return bytes->len == size;
}

/*
 * Write the CEK, or random bytes if the encrypted key does not open.  They are
 * drawn first, so that they do not show by their time.
 */
static KmsStatus
open_key(KmsKeyPair *key, const KmsJwe *jwe, const unsigned char *padded,
		 unsigned char *cek)
{
	size_t		size = kms_jwe_algorithm_cek_size(jwe->enc);
	size_t		kek_size = kms_jwe_algorithm_wrapping_size(jwe->alg);
	unsigned char random[KMS_JWE_CEK_MAX];
	unsigned char derived[KMS_JWE_CEK_MAX];
	KmsStatus	status;

	if (RAND_priv_bytes(random, (int) size) != 1)
		return kms_secure_heap_is_full(KMS_RSA_MAX_BLOCK) ? KMS_NO_MEMORY :
			KMS_FAILED;
	if (kms_key_pair_type(key) == KMS_TYPE_RSA)
		status = open_with_rsa(key, jwe, padded, random, size, cek);
	else
	{
		status = agree_on_key(key, jwe, derived);
		if (status == KMS_OK && kek_size == 0)
			memcpy(cek, derived, size);
		else if (status == KMS_OK)
			status = kms_key_wrap_open_or(derived, kek_size,
										  jwe->encrypted_key.at, random, size,
										  cek);
		OPENSSL_cleanse(derived, sizeof(derived));
	}
	OPENSSL_cleanse(random, sizeof(random));
	return status;
}

static KmsStatus
open_with_rsa(KmsKeyPair *key, const KmsJwe *jwe, const unsigned char *padded,
			  const unsigned char *random, size_t size, unsigned char *cek)
{
	KmsOaep		oaep = {kms_jwe_algorithm_digest(jwe->alg), KMS_DIGEST_NONE,
	NULL, 0};

	if (padded != NULL)
		return kms_rsa_oaep_decode_or(key, &oaep, padded, random, size, cek);
	return kms_rsa_oaep_decrypt_or(key, &oaep, jwe->encrypted_key.at,
								   jwe->encrypted_key.len, random, size, cek);
}

static KmsStatus
agree_on_key(KmsKeyPair *key, const KmsJwe *jwe, unsigned char *derived)
{
	KmsConcatInfo info = {
		kms_jwe_algorithm_derived_name(jwe->alg, jwe->enc),
		jwe->apu, jwe->apu_len, jwe->apv, jwe->apv_len
	};
	unsigned char secret[KMS_ECDH_SIZE];
	KmsStatus	status;

	status = kms_ecdh_agree(key, jwe->epk_x, jwe->epk_y, secret);
	if (status == KMS_OK &&
		!kms_concat_kdf(secret, sizeof(secret), &info, derived,
						kms_jwe_algorithm_derived_size(jwe->alg, jwe->enc)))
		status = KMS_FAILED;
	OPENSSL_cleanse(secret, sizeof(secret));
	return status;
}
