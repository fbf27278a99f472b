#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/timestamp.h"

#include "keys/key_seal.h"

#include "shmem/master.h"

#define ROW_MAX 4096			/* bytes; an encoded row has less than 2.5 kB
								 * if each character takes three */

static void encode_row(const KmsKeyRow *row, const KmsSecretDigests *digests,
					   KmsEncoder *encoder);
static const char *optional(const char *text, bool present);

KmsStatus
kms_key_seal_digests(const KmsKeySecret *secret, KmsSecretDigests *digests)
{
	const unsigned char *id = kms_wrap_master_key_id(secret->wrapped_key,
													 secret->wrapped_len);

	if (id == NULL)
		return KMS_NOT_AUTHENTIC;
	memcpy(digests->master_key_id, id, sizeof(digests->master_key_id));
	if (!kms_sha256(secret->wrapped_key, secret->wrapped_len, digests->wrap) ||
		!kms_sha256(secret->public_key, secret->public_len,
					digests->public_key))
		return KMS_FAILED;
	return KMS_OK;
}

KmsStatus
kms_key_seal_row(KmsKeyRow *row, const KmsSecretDigests *digests, KmsFault *fault)
{
	unsigned char data[ROW_MAX];
	KmsEncoder	encoder;
	KmsMasterKey master;
	KmsStatus	status;

	kms_encoder_init(&encoder, data, sizeof(data));
	encode_row(row, digests, &encoder);
	status = kms_master_get(digests->master_key_id, &master);
	if (status == KMS_OK)
	{
		status = kms_seal(&master, &encoder, row->seal);
		row->sealed = status == KMS_OK;
		explicit_bzero(&master, sizeof(master));
	}
	else
		memcpy(fault->master_key_id, digests->master_key_id,
			   sizeof(fault->master_key_id));
	return kms_fault(fault, status);
}

KmsStatus
kms_key_seal_check(const KmsKeyRow *row, const KmsSecretDigests *digests,
				   KmsFault *fault)
{
	unsigned char data[ROW_MAX];
	const unsigned char *id;
	KmsEncoder	encoder;
	KmsMasterKey master;
	KmsStatus	status;

	id = kms_seal_master_key_id(row->seal, KMS_SEAL_SIZE);
	if (!row->sealed || row->malformed || id == NULL ||
		memcmp(id, digests->master_key_id, KMS_MASTER_KEY_ID_SIZE) != 0)
		return kms_fault(fault, KMS_NOT_AUTHENTIC);
	kms_encoder_init(&encoder, data, sizeof(data));
	encode_row(row, digests, &encoder);
	status = kms_master_get(id, &master);
	if (status == KMS_OK)
	{
		status = kms_seal_verify(&master, &encoder, row->seal, KMS_SEAL_SIZE);
		explicit_bzero(&master, sizeof(master));
	}
	else
		memcpy(fault->master_key_id, id, sizeof(fault->master_key_id));
	return kms_fault(fault, status);
}

const char *
kms_key_seal_utf8(const char *text)
{
	return pg_server_to_any(text, strlen(text), PG_UTF8);
}

static void
encode_row(const KmsKeyRow *row, const KmsSecretDigests *digests,
		   KmsEncoder *encoder)
{
	kms_encoder_text(encoder, row->key_id);
	kms_encoder_text(encoder, kms_key_seal_utf8(row->device_id));
	kms_encoder_text(encoder, optional(kms_key_seal_utf8(row->app_version),
									   row->has_app_version));
	kms_encoder_text(encoder, row->algorithm);
	kms_encoder_text(encoder, row->oaep_hash);
	kms_encoder_text(encoder, row->mgf1_hash);
	kms_encoder_text(encoder, row->origin);
	kms_encoder_text(encoder, kms_key_state_name(row->state));
	kms_encoder_text(encoder, kms_key_state_name(row->prior_state));
	kms_encoder_text(encoder, optional(kms_key_seal_utf8(row->state_reason),
									   row->has_state_reason));
	kms_encoder_int64(encoder, row->created_at);
	kms_encoder_int64(encoder, row->expires_at);
	kms_encoder_int64(encoder, row->state_changed_at);
	kms_encoder_int64(encoder, row->has_delete_at ? row->delete_at
					  : PG_INT64_MIN);
	kms_encoder_int64(encoder, row->row_version);
	kms_encoder_bytes(encoder, digests->wrap, sizeof(digests->wrap));
	kms_encoder_bytes(encoder, digests->public_key,
					  sizeof(digests->public_key));
}

static const char *
optional(const char *text, bool present)
{
	return present ? text : NULL;
}
