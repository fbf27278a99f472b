#include "postgres.h"

#include "keys/audit_key.h"

#include "crypto/key_pair.h"
#include "keys/service_key.h"

static KmsStatus find_signer(char *signing_key_id);
static KmsStatus opens(const KmsServiceKey *key);

KmsStatus
kms_audit_key_current(char *signing_key_id)
{
	KmsServiceKey key;
	KmsStatus	status;

	status = find_signer(signing_key_id);
	if (status != KMS_KEY_NOT_FOUND)
		return status;

	/* another session may have made a key while we waited for the lock */
	(void) kms_service_key_table_lock(KMS_AUDIT_KEY, true);
	status = find_signer(signing_key_id);
	if (status != KMS_KEY_NOT_FOUND)
		return status;
	status = kms_service_key_make(KMS_AUDIT_KEY, &key);
	if (status == KMS_OK)
		strlcpy(signing_key_id, key.id, KMS_SERVICE_ID_MAX + 1);
	return status;
}

/*
 * Find the newest key that opens.  If none does, return KMS_KEY_NOT_FOUND: all
 * rows are from another server or were forged.
 */
static KmsStatus
find_signer(char *signing_key_id)
{
	ListCell   *cell;

	foreach(cell, kms_service_key_table_all(KMS_AUDIT_KEY))
	{
		const KmsServiceKey *key = lfirst(cell);
		KmsStatus	status = opens(key);

		if (status == KMS_OK)
			strlcpy(signing_key_id, key->id, KMS_SERVICE_ID_MAX + 1);
		if (status != KMS_NOT_AUTHENTIC && status != KMS_OTHER_MASTER_KEY)
			return status;
	}
	return KMS_KEY_NOT_FOUND;
}

/* Return KMS_OK if the private key opens. */
static KmsStatus
opens(const KmsServiceKey *key)
{
	unsigned char private_key[KMS_SERVICE_KEY_SIZE];
	KmsFault	fault = {0};
	KmsStatus	status;

	status = kms_service_key_open(key, private_key, &fault);
	explicit_bzero(private_key, sizeof(private_key));
	return status;
}

KmsStatus
kms_audit_key_sign(const char *signing_key_id, const void *data, size_t len,
				   unsigned char *signature)
{
	unsigned char private_key[KMS_SERVICE_KEY_SIZE];
	KmsFault	fault = {0};
	KmsServiceKey key;
	KmsStatus	status;

	if (!kms_service_key_table_read(KMS_AUDIT_KEY, signing_key_id, &key))
		return KMS_KEY_NOT_FOUND;
	status = kms_service_key_open(&key, private_key, &fault);
	if (status == KMS_OK)
		status = kms_signature_sign(private_key, data, len, signature);
	explicit_bzero(private_key, sizeof(private_key));
	return status;
}

KmsStatus
kms_audit_key_public(const char *signing_key_id, unsigned char *public_key)
{
	KmsServiceKey key;
	KmsStatus	status;

	if (!kms_service_key_table_read(KMS_AUDIT_KEY, signing_key_id, &key))
		return KMS_KEY_NOT_FOUND;
	status = opens(&key);
	if (status == KMS_OK)
		memcpy(public_key, key.public_key, KMS_SIGNATURE_PUBLIC_SIZE);
	return status;
}

KmsStatus
kms_audit_key_verify(KmsAuditPublic *last, const char *signing_key_id,
					 const void *data, size_t len,
					 const unsigned char *signature)
{
	if (last->id[0] == '\0' || strcmp(last->id, signing_key_id) != 0)
	{
		strlcpy(last->id, signing_key_id, sizeof(last->id));
		last->status = kms_audit_key_public(last->id, last->public_key);
	}
	if (last->status != KMS_OK)
		return last->status;
	return kms_signature_verify(last->public_key, sizeof(last->public_key),
								data, len, signature);
}

char *
kms_audit_key_pem(const char *signing_key_id)
{
	char	   *pem = palloc(KMS_KEY_PAIR_MAX_PEM);
	KmsServiceKey key;

	if (kms_service_key_table_read(KMS_AUDIT_KEY, signing_key_id, &key) &&
		kms_key_pair_public_pem(key.public_key, key.public_len, pem,
								KMS_KEY_PAIR_MAX_PEM) == KMS_OK)
		return pem;
	pfree(pem);
	return NULL;
}
