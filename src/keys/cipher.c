#include "postgres.h"

#include "miscadmin.h"

#include "keys/cipher.h"

#include "crypto/jwe_judge.h"
#include "keys/admit.h"
#include "keys/jwe_message.h"
#include "keys/opened.h"

/* bytes of the form of a ciphertext, as events record it */
#define KMS_CIPHER_FORM_SIZE 56

/* For kms_cipher_burn(): a block, and JWE without content. */
static const unsigned char zeros[KMS_RSA_MAX_BLOCK];

#define EMPTY_JWE \
	.alg = KMS_ECDH_ES, .enc = KMS_A256GCM, .encrypted_key = {zeros, 0}, \
	.iv = {zeros, 12}, .ciphertext = {zeros, 0}, .tag = {zeros, 16}, \
	.aad = {zeros, 0}

/* The ephemeral keys are the base points (FIPS 186-4, D.1.2.3; RFC 7748). */
static const KmsJwe empty_p256 = {
	EMPTY_JWE,
	.epk_x = {
		0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47,
		0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2,
		0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0,
		0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96
	},
	.epk_y = {
		0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b,
		0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16,
		0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce,
		0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5
	}
};
static const KmsJwe empty_x25519 = {EMPTY_JWE,.epk_x = {9}};

static void record_block(KmsCall *call, const KmsOaep *oaep);
static KmsStatus too_long(size_t len, size_t most, KmsFault *fault);
static void use_digests(const KmsKeyRow *row, const KmsOaep *asked,
						KmsOaep *oaep);

KmsStatus
kms_cipher_decrypt(KmsCall *call, const KmsCipherRequest *request, bool recover,
				   unsigned char *out, size_t *out_len, KmsFault *fault)
{
	KmsCipherOpened opened;
	KmsStatus	status;

	status = kms_cipher_open(call, request, recover, &opened, fault);
	if (status == KMS_OK)
		status = kms_cipher_check(request, &opened, fault);
	if (status != KMS_OK)
		return status;
	return kms_cipher_finish(call, request, &opened, out, out_len, fault);
}

KmsStatus
kms_cipher_finish(KmsCall *call, const KmsCipherRequest *request,
				  const KmsCipherOpened *opened, unsigned char *out,
				  size_t *out_len, KmsFault *fault)
{
	KmsStatus	status;

	status = kms_cipher_opened_decrypt(opened, request, out, out_len);
	if (status != KMS_BAD_FORMAT)
		kms_call_opens(call);
	return kms_cipher_fault(fault, status);
}

KmsStatus
kms_cipher_fault(KmsFault *fault, KmsStatus status)
{
	KmsJweProblem problem;

	if (status != KMS_BAD_FORMAT)
		return kms_fault(fault, status);
	(void) kms_jwe_problem(&problem, KMS_FLAW_POINT, KMS_PART_EPK);
	return kms_jwe_message_fault(&problem, fault);
}

KmsStatus
kms_cipher_open(KmsCall *call, const KmsCipherRequest *request, bool recover,
				KmsCipherOpened *opened, KmsFault *fault)
{
	KmsKey		key;
	KmsStatus	status;

	if (request->jwe != NULL)
		kms_cipher_record_jwe(call, request->jwe->alg, request->jwe->enc);
	status = kms_admit_private(call, request->key_id, request->device_id,
							   recover ? KMS_USE_RECOVER : KMS_USE_DECRYPT,
							   &key, &opened->key, fault);
	if (status != KMS_OK)
		return status;
	opened->block_size = kms_key_pair_block_size(opened->key);
	opened->padded = NULL;
	use_digests(&key.row, &request->oaep, &opened->oaep);
	if (request->jwe == NULL && opened->block_size != 0)
		record_block(call, &opened->oaep);
	return status;
}

void
kms_cipher_record_jwe(KmsCall *call, KmsJweAlg alg, KmsJweEnc enc)
{
	char		form[KMS_CIPHER_FORM_SIZE];

	snprintf(form, sizeof(form), "JWE %s %s", kms_jwe_algorithm_alg_name(alg),
			 kms_jwe_algorithm_enc_name(enc));
	kms_call_form(call, form);
}

static void
record_block(KmsCall *call, const KmsOaep *oaep)
{
	char		form[KMS_CIPHER_FORM_SIZE];
	KmsDigest	mgf1 = oaep->mgf1 != KMS_DIGEST_NONE ? oaep->mgf1
	: oaep->digest;

	snprintf(form, sizeof(form), "block %s/%s", kms_digest_name(oaep->digest),
			 kms_digest_name(mgf1));
	kms_call_form(call, form);
}

KmsStatus
kms_cipher_check(const KmsCipherRequest *request, KmsCipherOpened *opened,
				 KmsFault *fault)
{
	KmsKeyType	type = kms_key_pair_type(opened->key);

	if (request->jwe != NULL)
	{
		unsigned char *buffer = palloc(kms_jwe_judge_size(request->jwe));
		KmsJweProblem problem;

		if (kms_jwe_judge_key(request->jwe, type, opened->block_size, buffer,
							  &opened->jwe, &problem) != KMS_OK)
			return kms_jwe_message_fault(&problem, fault);
		return kms_fault(fault, KMS_OK);
	}
	if (type != KMS_TYPE_RSA)
		return kms_fault_ciphertext(fault,
									"ciphertext is not a JWE, and the key is not an RSA key",
									"EC-P256 and X25519 keys decrypt JWE only.");
	if (request->len == opened->block_size)
		return kms_fault(fault, KMS_OK);
	return kms_fault_ciphertext(fault,
								"ciphertext does not have the length of the key",
								psprintf("The ciphertext has %zu bytes, the key needs %zu.",
										 request->len, opened->block_size));
}

const unsigned char *
kms_cipher_block(const KmsCipherRequest *request,
				 const KmsCipherOpened *opened)
{
	if (opened->block_size == 0)
		return NULL;
	return request->jwe != NULL ? opened->jwe.encrypted_key.at : request->data;
}

size_t
kms_cipher_room(const KmsCipherRequest *request)
{
	if (request->jwe == NULL)
		return KMS_RSA_MAX_BLOCK;
	return request->jwe->parts[KMS_PART_CIPHERTEXT].len;
}

KmsStatus
kms_cipher_opened_decrypt(const KmsCipherOpened *opened,
						  const KmsCipherRequest *request,
						  unsigned char *out, size_t *out_len)
{
	if (opened->padded != NULL && request->jwe != NULL)
		return kms_jwe_decrypt_padded(opened->key, &opened->jwe,
									  opened->padded, out, out_len);
	if (opened->padded != NULL)
		return kms_rsa_oaep_decode(opened->key, &opened->oaep, opened->padded,
								   out, out_len);
	if (request->jwe != NULL)
		return kms_jwe_decrypt(opened->key, &opened->jwe, out, out_len);
	return kms_rsa_oaep_decrypt(opened->key, &opened->oaep, request->data,
								request->len, out, out_len);
}

KmsStatus
kms_cipher_burn(const KmsCipherOpened *opened)
{
	unsigned char out[KMS_RSA_MAX_BLOCK];
	size_t		len;
	KmsStatus	status;

	switch (kms_key_pair_type(opened->key))
	{
		case KMS_TYPE_RSA:
			status = kms_rsa_oaep_decrypt(opened->key, &opened->oaep, zeros,
										  opened->block_size, out, &len);
			break;
		case KMS_TYPE_EC_P256:
			status = kms_jwe_decrypt(opened->key, &empty_p256, out, &len);
			break;
		default:
			status = kms_jwe_decrypt(opened->key, &empty_x25519, out, &len);
			break;
	}
	explicit_bzero(out, sizeof(out));
	return status == KMS_REJECTED ? KMS_OK : status;
}

KmsStatus
kms_cipher_encrypt(KmsCall *call, const KmsCipherRequest *request,
				   unsigned char *out, size_t *out_len, KmsFault *fault)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsKey		key;
	KmsOaep		oaep;
	KmsKeyPair *public_key;
	size_t		most;
	KmsStatus	status;

	status = kms_admit_public(call, request->key_id, request->device_id,
							  KMS_USE_ENCRYPT, &key, secret, fault);
	if (status != KMS_OK)
		return status;
	if (kms_key_algorithm_type_by_name(key.row.algorithm) != KMS_TYPE_RSA)
		return kms_fault_argument(fault, "key is not an RSA key",
								  "EC-P256 and X25519 keys do not encrypt blocks of RSA-OAEP.",
								  "Use kms_encrypt_jwe().");
	status = kms_key_pair_open_public(kms_opened_opener(),
									  kms_key_algorithm_type_by_name(key.row.algorithm), secret->public_key,
									  secret->public_len, &public_key);
	pfree(secret);
	if (status != KMS_OK)
		return kms_fault(fault, status);

	/* nothing may raise an error until the key is freed */
	use_digests(&key.row, &request->oaep, &oaep);
	record_block(call, &oaep);
	status = kms_rsa_oaep_encrypt(public_key, &oaep, request->data, request->len, out,
								  out_len);
	most = kms_rsa_oaep_max_plaintext(public_key, oaep.digest);
	kms_key_pair_free(public_key);
	if (status == KMS_TOO_LONG)
		return too_long(request->len, most, fault);
	return kms_fault(fault, status);
}

/*
 * Choose the digests: the key's pair; the one that was named for OAEP, for
 * both; or the one that was named for MGF1, with the key's for OAEP.
 */
static void
use_digests(const KmsKeyRow *row, const KmsOaep *asked, KmsOaep *oaep)
{
	*oaep = *asked;
	if (asked->digest != KMS_DIGEST_NONE)
		return;
	oaep->digest = kms_digest_by_name(row->oaep_hash);
	if (asked->mgf1 == KMS_DIGEST_NONE)
		oaep->mgf1 = kms_digest_by_name(row->mgf1_hash);
}

static KmsStatus
too_long(size_t len, size_t most, KmsFault *fault)
{
	return kms_fault_argument(fault, "plaintext is too long for the key",
							  psprintf("The plaintext has %zu bytes; with this key and digest at most %zu fit.",
									   len, most),
							  NULL);
}

void
kms_cipher_log_recovery(const KmsCall *call, const char *reason,
						KmsStatus status)
{
	ereport(LOG,
			(errmsg("kms: role \"%s\" %s data of encryption key \"%s\" with kms_decrypt_recover",
					GetUserNameFromId(GetSessionUserId(), true),
					status == KMS_OK ? "opened" : "could not open",
					kms_call_recorded_key(call)),
			 errdetail("Reason given: %s", reason != NULL ? reason : "none"),
			 KMS_HIDE_STATEMENT));
}
