#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/field_change.h"

#include "keys/field_row.h"
#include "keys/field_rows.h"
#include "pg/compat.h"

pg_noreturn static void refuse_snapshot(void);

void
kms_field_change_check(void)
{
	if (kms_field_key_table_is_replicated())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("field keys that come by a subscription are changed by their publisher"),
				 errhint("Make the change there; it arrives here."),
				 KMS_HIDE_STATEMENT));
}

KmsStatus
kms_field_change_lock(const char *name, int version, KmsFieldLock lock,
					  KmsFieldRow *row, KmsFault *fault)
{
	bool		locked = kms_field_key_table_lock(name, version, lock);

	if (!kms_field_key_table_read(name, version, row))
		return kms_fault(fault, KMS_FIELD_KEY_NOT_FOUND);
	if (!locked)
		refuse_snapshot();
	return kms_fault(fault, KMS_OK);
}

/* The transaction's snapshot is older than a row, or than its last change. */
static void
refuse_snapshot(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent change of a field key"),
			 errhint("Run the transaction again."),
			 KMS_HIDE_STATEMENT));
}

KmsStatus
kms_field_change_refuse_destroyed(const KmsFieldRow *row, KmsFault *fault)
{
	if (row->version == KMS_FIELD_WHOLE)
		fault->message = psprintf("field key \"%s\" was destroyed", row->name);
	else
		fault->message = psprintf("version %d of field key \"%s\" was destroyed",
								  row->version, row->name);
	return kms_fault(fault, KMS_FIELD_KEY_DESTROYED);
}

/*
 * A row that was disabled although it could not be authenticated, because the
 * master key was missing for example, waits for maintenance.
 */
KmsStatus
kms_field_change_check_sealed(const KmsFieldRow *row, KmsFault *fault)
{
	if (row->sealed || row->state != KMS_FIELD_DISABLED)
		return kms_field_rows_fault(row, kms_field_row_check(row, fault),
									fault);
	fault->message = psprintf("the denial of field key \"%s\" is not sealed yet",
							  row->name);
	fault->hint = "Maintenance seals it once the server has the master key, if the secret of the row authenticates; kms_maintain() does so now.";
	return kms_fault(fault, KMS_FIELD_KEY_STATE);
}

/*
 * Write the next version of a locked row, with a seal if row->sealed is set.
 * The date of a denial begins when it is sealed, because kms_destroy_field_key
 * goes by it.
 */
void
kms_field_change_write(KmsFieldRow *row, KmsFieldState state)
{
	int64		version = row->row_version;
	KmsFault	fault = {0};

	row->state = state;
	row->state_changed_at = GetCurrentTimestamp();
	row->row_version++;
	if (row->sealed)
	{
		if (kms_field_rows_fault(row, kms_field_row_seal(row, &fault),
								 &fault) != KMS_OK)
			kms_fault_raise(&fault);
	}
	if (!kms_field_key_table_update(row, version))
		refuse_snapshot();
}

void
kms_field_change_label(KmsCall *call, const char *name, int version)
{
	char text[	KMS_FIELD_LABEL_SIZE];

	if (version == KMS_FIELD_WHOLE)
		snprintf(text, sizeof(text), "%s/all", name);
	else
		snprintf(text, sizeof(text), "%s/%d", name, version);
	kms_call_found(call, text, "");
}
