#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/field_rewrap.h"

#include "keys/field_row.h"
#include "shmem/master.h"

KmsOutcome
kms_field_rewrap_row(const char *id, void *arg)
{
	KmsFieldRow *row = palloc(sizeof(KmsFieldRow));
	KmsFault	ignored = {0};
	KmsFieldPlace place;
	KmsStatus	status;

	kms_field_rewrap_place(id, &place);
	if (!kms_field_key_table_lock(place.name, place.version,
								  KMS_FIELD_TRY_LOCK_TO_CHANGE))
		return kms_field_key_table_read(place.name, place.version, row)
			? KMS_OUTCOME_LOCKED : KMS_OUTCOME_NOT_OURS;
	if (!kms_field_key_table_read(place.name, place.version, row))
		return KMS_OUTCOME_NOT_OURS;

	/* without a seal it was disabled without a master key */
	status = kms_field_row_check_denied(row, &ignored);
	if (!row->sealed)
		row->state_changed_at = GetCurrentTimestamp();
	if (status == KMS_OK)
		status = kms_field_row_wrap_again(row, &ignored);
	if (status != KMS_OK ||
		!kms_field_key_table_update(row, row->row_version))
		return KMS_OUTCOME_FAILED;
	return KMS_OUTCOME_DONE;
}

void
kms_field_rewrap_wait(const char *id)
{
	KmsFieldPlace place;

	kms_field_rewrap_place(id, &place);
	(void) kms_field_key_table_lock(place.name, place.version,
									KMS_FIELD_LOCK_TO_CHANGE);
}

void
kms_field_rewrap_place(const char *id, KmsFieldPlace *place)
{
	const char *slash = strrchr(id, '/');

	memset(place, 0, sizeof(*place));
	if (slash == NULL || (size_t) (slash - id) >= sizeof(place->name))
		elog(ERROR, "malformed id of a row of a field key");
	memcpy(place->name, id, slash - id);
	place->version = atoi(slash + 1);
}
