/*
 * Denying the use of a key must not depend on a master key, so a row that is
 * disabled may have no seal; it is denied whether it authenticates or not.
 */
#include "postgres.h"

#include "keys/field_state.h"

#include "keys/field_change.h"
#include "keys/field_row.h"
#include "keys/field_rows.h"
#include "shmem/master.h"

static KmsStatus lock_row(KmsCall *call, const char *name, int version,
						  KmsFieldState target, KmsFieldRow *row,
						  KmsFault *fault);

KmsStatus
kms_field_state_disable(KmsCall *call, const char *name, int version,
						KmsFault *fault)
{
	KmsFieldRow *row = palloc(sizeof(KmsFieldRow));
	KmsFault	ignored = {0};
	KmsStatus	status;

	status = lock_row(call, name, version, KMS_FIELD_DISABLED, row, fault);
	if (status != KMS_OK || row->state == KMS_FIELD_DISABLED)
		return status;
	row->sealed = kms_master_generation() != 0 &&
		kms_field_row_check(row, &ignored) == KMS_OK;
	kms_field_change_write(row, KMS_FIELD_DISABLED);
	if (!row->sealed)
		kms_call_wish(KMS_MAINTENANCE);
	return status;
}

KmsStatus
kms_field_state_enable(KmsCall *call, const char *name, int version,
					   KmsFault *fault)
{
	KmsFieldRow *row = palloc(sizeof(KmsFieldRow));
	KmsStatus	status;

	status = lock_row(call, name, version, KMS_FIELD_ENABLED, row, fault);
	if (status != KMS_OK || row->state == KMS_FIELD_ENABLED)
		return status;
	status = kms_field_rows_fault(row, kms_field_row_check_denied(row, fault),
								  fault);
	if (status != KMS_OK)
		return status;
	row->sealed = true;
	kms_field_change_write(row, KMS_FIELD_ENABLED);
	return status;
}

/* Lock a row that is to get this state, and set how the call is recorded. */
static KmsStatus
lock_row(KmsCall *call, const char *name, int version, KmsFieldState target,
		 KmsFieldRow *row, KmsFault *fault)
{
	KmsStatus	status;

	kms_field_change_check();
	status = kms_field_change_lock(name, version, KMS_FIELD_LOCK_TO_CHANGE,
								   row, fault);
	if (status != KMS_OK)
		return status;
	kms_field_change_label(call, name, version);
	if (row->state == KMS_FIELD_DESTROYED)
		return kms_field_change_refuse_destroyed(row, fault);
	kms_call_ends_as(call, row->state == target ? KMS_CALL_UNCHANGED
					 : KMS_CALL_CHANGED);
	return status;
}

bool
kms_field_state_seal(const KmsFieldPlace *place)
{
	KmsFieldRow *row = palloc(sizeof(KmsFieldRow));
	KmsFault	ignored = {0};
	bool		done = false;

	if (kms_field_key_table_lock(place->name, place->version,
								 KMS_FIELD_TRY_LOCK_TO_CHANGE) &&
		kms_field_key_table_read(place->name, place->version, row) &&
		!row->sealed && row->state == KMS_FIELD_DISABLED &&
		kms_field_row_check_denied(row, &ignored) == KMS_OK)
	{
		row->sealed = true;
		kms_field_change_write(row, KMS_FIELD_DISABLED);
		done = true;
	}
	pfree(row);
	return done;
}
