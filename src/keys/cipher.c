#include "postgres.h"

#include "miscadmin.h"

#include "keys/cipher.h"

#include "keys/admit.h"
#include "keys/opened.h"

static KmsStatus too_long(size_t len, size_t most, KmsFault *fault);
static void use_digest(const KmsKeyRow *row, const KmsOaep *asked,
					   KmsOaep *oaep);

KmsStatus
kms_cipher_decrypt(KmsCall *call, const KmsCipherRequest *request, bool recover,
				   unsigned char *out, size_t *out_len, KmsFault *fault)
{
	KmsCipherOpened opened;
	KmsStatus	status;

	status = kms_cipher_open(call, request, recover, &opened, fault);
	if (status == KMS_OK)
		status = kms_cipher_check_length(request, &opened, fault);
	if (status != KMS_OK)
		return status;
	kms_call_opens(call);
	return kms_fault(fault, kms_rsa_oaep_decrypt(opened.key, &opened.oaep,
												 request->data, request->len,
												 out, out_len));
}

KmsStatus
kms_cipher_open(KmsCall *call, const KmsCipherRequest *request, bool recover,
				KmsCipherOpened *opened, KmsFault *fault)
{
	KmsKey		key;
	KmsStatus	status;

	status = kms_admit_private(call, request->key_id, request->device_id,
							   recover ? KMS_USE_RECOVER : KMS_USE_DECRYPT,
							   &key, &opened->key, fault);
	if (status != KMS_OK)
		return status;
	opened->block_size = kms_rsa_key_block_size(opened->key);
	use_digest(&key.row, &request->oaep, &opened->oaep);
	return status;
}

KmsStatus
kms_cipher_check_length(const KmsCipherRequest *request,
						const KmsCipherOpened *opened, KmsFault *fault)
{
	if (request->len == opened->block_size)
		return kms_fault(fault, KMS_OK);
	return kms_fault_ciphertext(fault,
								"ciphertext does not have the length of the key",
								psprintf("The ciphertext has %zu bytes, the key needs %zu.",
										 request->len, opened->block_size),
								"Send one RSA-OAEP block, encrypted with this key's public key.");
}

KmsStatus
kms_cipher_encrypt(KmsCall *call, const KmsCipherRequest *request,
				   unsigned char *out, size_t *out_len, KmsFault *fault)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsKey		key;
	KmsOaep		oaep;
	KmsRsaKey  *public_key;
	size_t		most;
	KmsStatus	status;

	status = kms_admit_public(call, request->key_id, request->device_id,
							  KMS_USE_ENCRYPT, &key, secret, fault);
	if (status != KMS_OK)
		return status;
	status = kms_rsa_key_open_public(kms_opened_opener(), secret->public_key,
									 secret->public_len, &public_key);
	pfree(secret);
	if (status != KMS_OK)
		return kms_fault(fault, status);

	/* nothing may raise an error until the key is freed */
	use_digest(&key.row, &request->oaep, &oaep);
	status = kms_rsa_oaep_encrypt(public_key, &oaep, request->data, request->len, out,
								  out_len);
	most = kms_rsa_oaep_max_plaintext(public_key, oaep.digest);
	kms_rsa_key_free(public_key);
	if (status == KMS_TOO_LONG)
		return too_long(request->len, most, fault);
	return kms_fault(fault, status);
}

static void
use_digest(const KmsKeyRow *row, const KmsOaep *asked, KmsOaep *oaep)
{
	*oaep = *asked;
	if (oaep->digest == KMS_DIGEST_NONE)
		oaep->digest = kms_digest_by_name(row->oaep_hash);
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
