#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/call.h"
#include "keys/key.h"
#include "keys/state.h"

KmsStatus
kms_key_change_state(KmsKeyRow *row, KmsKeyState state, const char *reason,
					 KmsFault *fault)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsSecretDigests digests;
	KmsKeyState was = row->state;
	KmsStatus	status;

	/* a seal must never be put on what did not authenticate */
	status = kms_key_authenticate(row, secret, &digests, fault);
	pfree(secret);
	if (status != KMS_OK)
		return status;

	/* it may have been read again: another's change must not be undone */
	if (row->state != was)
		return kms_fault(fault, KMS_KEY_NOT_FOUND);

	row->state = state;
	row->has_state_reason = true;
	strlcpy(row->state_reason, reason, sizeof(row->state_reason));
	row->state_changed_at = GetCurrentTimestamp();
	row->row_version++;
	status = kms_seal_row(row, &digests, fault);
	if (status != KMS_OK)
		return status;
	if (!kms_key_update(row))
		return kms_fault(fault, KMS_KEY_NOT_FOUND);
	kms_call_record_change(KMS_OP_DEPRECATE, row->key_id, row->device_id,
						   reason);
	return kms_fault(fault, KMS_OK);
}
