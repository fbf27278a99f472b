#include "postgres.h"

#include "keys/public.h"

#include "crypto/jwe_algorithm.h"
#include "keys/admit.h"
#include "keys/device_keys.h"
#include "keys/opened.h"

static KmsStatus fill_numbers(const KmsKeyRow *row, const KmsKeySecret *secret,
							  KmsPublicKey *key, KmsFault *fault);

KmsStatus
kms_public_pem(KmsCall *call, const char *key_id, char *pem, size_t size,
			   KmsFault *fault)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsKey		key;
	KmsStatus	status;

	status = kms_admit_public(call, key_id, NULL, KMS_USE_PUBLIC, &key, secret,
							  fault);
	if (status == KMS_OK)
		status = kms_fault(fault, kms_key_pair_public_pem(secret->public_key,
														  secret->public_len,
														  pem, size));
	pfree(secret);
	return status;
}

KmsStatus
kms_public_numbers(KmsCall *call, const char *key_id, KmsPublicKey *numbers,
				   KmsFault *fault)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsKey		key;
	KmsStatus	status;

	status = kms_admit_public(call, key_id, NULL, KMS_USE_PUBLIC, &key, secret,
							  fault);
	if (status == KMS_OK)
		status = fill_numbers(&key.row, secret, numbers, fault);
	pfree(secret);
	return status;
}

KmsStatus
kms_public_device_numbers(KmsCall *call, const char *device_id, List **keys,
						  KmsFault *fault)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsDeviceKeys found;
	ListCell   *cell;
	KmsStatus	status;

	*keys = NIL;
	kms_device_keys_read(&found, device_id, NULL, false);
	foreach(cell, found.active)
	{
		KmsPublicKey *numbers;
		KmsKey		key;

		status = kms_admit_seen(lfirst(cell), KMS_USE_ISSUE, &key, secret,
								fault);
		if (status == KMS_KEY_NOT_FOUND)
			continue;
		numbers = palloc(sizeof(KmsPublicKey));
		if (status == KMS_OK)
			status = fill_numbers(&key.row, secret, numbers, fault);
		if (status != KMS_OK)
		{
			kms_call_found(call, key.row.key_id, key.row.device_id);
			fault->key_id = pstrdup(key.row.key_id);
			return status;
		}
		*keys = lappend(*keys, numbers);
	}
	pfree(secret);
	return kms_fault(fault, KMS_OK);
}

const char *
kms_public_alg(const KmsPublicKey *key)
{
	if (key->type != KMS_TYPE_RSA)
		return kms_jwe_algorithm_alg_name(KMS_ECDH_ES);
	if (key->oaep_hash != key->mgf1_hash)
		return NULL;
	return kms_digest_jwa_name(key->oaep_hash);
}

static KmsStatus
fill_numbers(const KmsKeyRow *row, const KmsKeySecret *secret,
			 KmsPublicKey *key, KmsFault *fault)
{
	strlcpy(key->key_id, row->key_id, sizeof(key->key_id));
	key->type = kms_key_algorithm_type_by_name(row->algorithm);
	key->oaep_hash = kms_digest_by_name(row->oaep_hash);
	key->mgf1_hash = kms_digest_by_name(row->mgf1_hash);
	return kms_fault(fault, kms_key_pair_public_numbers(kms_opened_opener(),
														kms_key_algorithm_type_by_name(row->algorithm),
														secret->public_key,
														secret->public_len,
														&key->numbers));
}
