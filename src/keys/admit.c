#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/admit.h"
#include "shmem/master.h"
#include "store/problem.h"

#define READ_ATTEMPTS 5

static KmsStatus state_permits(const KmsKeyRow *row, KmsUse use);

KmsStatus
kms_admit_find(const char *key_id, const char *device_id, KmsKeyRow *row,
			   KmsFault *fault)
{
	/*
	 * What was not found may be a secret in the wrong place, unless it has
	 * the form of ids made here.
	 */
	fault->key_id = kms_key_id_made(key_id) ? key_id : NULL;
	if (!kms_key_table_read(key_id, row))
		return kms_fault(fault, KMS_KEY_NOT_FOUND);
	fault->key_id = key_id;
	if (device_id != NULL && strcmp(device_id, row->device_id) != 0)
		return kms_fault(fault, KMS_KEY_NOT_FOUND);
	return kms_fault(fault, KMS_OK);
}

KmsStatus
kms_admit_permits(const KmsKeyRow *row, KmsUse use, TimestampTz now,
				  KmsFault *fault)
{
	KmsStatus	status = state_permits(row, use);

	if (status == KMS_OK && use != KMS_USE_RECOVER && row->expires_at <= now)
		status = KMS_KEY_EXPIRED;
	return kms_fault(fault, status);
}

static KmsStatus
state_permits(const KmsKeyRow *row, KmsUse use)
{
	switch (kms_key_row_state(row))
	{
		case KMS_STATE_ACTIVE:
			return KMS_OK;
		case KMS_STATE_DEPRECATED:
			return use == KMS_USE_ENCRYPT ? KMS_KEY_DEPRECATED : KMS_OK;
		case KMS_STATE_DISABLED:
			return use == KMS_USE_RECOVER ? KMS_OK : KMS_KEY_DISABLED;
		case KMS_STATE_REVOKED:
			return use == KMS_USE_RECOVER ? KMS_OK : KMS_KEY_REVOKED;
		case KMS_STATE_PENDING_DELETION:
			return use == KMS_USE_RECOVER ? KMS_OK : KMS_KEY_PENDING_DELETION;
		default:
			return KMS_NOT_AUTHENTIC;
	}
}

KmsStatus
kms_admit_authenticate(KmsKeyRow *row, KmsKeySecret *secret,
					   KmsSecretDigests *digests, KmsFault *fault)
{
	KmsStatus	status = KMS_NOT_AUTHENTIC;
	int			attempt;

	for (attempt = 0; attempt < READ_ATTEMPTS; attempt++)
	{
		KmsKeyRow	before = *row;

		status = KMS_NOT_AUTHENTIC;
		if (kms_secret_table_read(row->key_id, secret))
		{
			status = kms_key_seal_digests(secret, digests);
			if (status == KMS_OK)
				status = kms_key_seal_check(row, digests, fault);
		}
		if (status != KMS_NOT_AUTHENTIC)
			break;

		/* both rows may have been read on different sides of a change */
		if (!kms_key_table_read(before.key_id, row))
			return kms_fault(fault, KMS_KEY_NOT_FOUND);
		if (memcmp(&before, row, sizeof(before)) == 0)
			break;
	}
	return kms_fault(fault, status);
}

KmsStatus
kms_admit_row(KmsKeyRow *row, KmsUse use, KmsKeySecret *secret,
			  KmsFault *fault)
{
	KmsSecretDigests digests;
	KmsStatus	status;

	status = kms_admit_permits(row, use, GetCurrentTimestamp(), fault);
	if (status != KMS_OK)
		return kms_admit_refuse(row, status, fault);
	status = kms_admit_authenticate(row, secret, &digests, fault);
	if (status != KMS_OK)
		return status;

	/* it may have been read again, and be another one now */
	return kms_admit_permits(row, use, GetCurrentTimestamp(), fault);
}

KmsStatus
kms_admit_refuse(const KmsKeyRow *row, KmsStatus status, KmsFault *fault)
{
	KmsKeyRow  *copy;
	KmsKeySecret *secret;
	KmsSecretDigests digests;
	KmsStatus	authentic;

	if (kms_master_generation() == 0 || (!row->sealed && kms_admit_denies(row)))
		return kms_fault(fault, status);
	copy = palloc(sizeof(KmsKeyRow));
	secret = palloc(sizeof(KmsKeySecret));
	*copy = *row;
	authentic = kms_admit_authenticate(copy, secret, &digests, fault);
	pfree(copy);
	pfree(secret);
	return kms_fault(fault, authentic == KMS_NOT_AUTHENTIC ? authentic : status);
}

bool
kms_admit_denies(const KmsKeyRow *row)
{
	KmsKeyState state = kms_key_row_state(row);

	return state == KMS_STATE_DISABLED || state == KMS_STATE_REVOKED ||
		state == KMS_STATE_PENDING_DELETION;
}

bool
kms_admit_is_problematic(const KmsKeyRow *row)
{
	return strcmp(row->state_reason, KMS_PROBLEM_REASON) == 0 &&
		row->state != KMS_STATE_REVOKED &&
		row->prior_state != KMS_STATE_REVOKED;
}

KmsStatus
kms_admit_master_key_there(const KmsKeySecret *secret)
{
	const unsigned char *id = kms_wrap_master_key_id(secret->wrapped_key,
													 secret->wrapped_len);
	KmsMasterKey master;
	KmsStatus	status;

	if (id == NULL)
		return KMS_NOT_AUTHENTIC;
	status = kms_master_get(id, &master);
	explicit_bzero(&master, sizeof(master));
	return status;
}

const char *
kms_admit_state_at(const KmsKeyRow *row, TimestampTz now)
{
	KmsKeyState state = kms_key_row_state(row);

	if ((state == KMS_STATE_ACTIVE || state == KMS_STATE_DEPRECATED)
		&& row->expires_at <= now)
		return "expired";
	return kms_key_row_state_name(state);
}
