#include "postgres.h"

#include "miscadmin.h"

#include "keys/check_fields.h"

#include "keys/field_key.h"
#include "keys/field_row.h"
#include "keys/name_list.h"
#include "shmem/master.h"
#include "store/field_right.h"

#define SAMPLE		1000		/* rows that are authenticated, at most */
#define HOLDERS_MAX	11

static List *names_of(const List *places);
static char *name_of(const KmsFieldPlace *place);

void
kms_check_fields_rows(KmsReport report, void *result)
{
	KmsFieldRow *row = palloc(sizeof(KmsFieldRow));
	List	   *sample = NIL;
	List	   *bad = NIL;
	List	   *older;
	ListCell   *cell;

	if (kms_master_generation() != 0)
		sample = kms_field_key_table_sample(SAMPLE);
	foreach(cell, sample)
	{
		const KmsFieldPlace *place = lfirst(cell);
		KmsFault	ignored = {0};

		CHECK_FOR_INTERRUPTS();
		if (kms_field_key_table_read(place->name, place->version, row) &&
			(row->sealed || row->state != KMS_FIELD_DISABLED) &&
			kms_field_row_check(row, &ignored) == KMS_NOT_AUTHENTIC)
			bad = lappend(bad, name_of(place));
	}
	if (bad != NIL)
		report(result, "error",
			   psprintf("rows of field keys that do not authenticate, %d in a sample of %d: %s",
						list_length(bad), list_length(sample),
						kms_name_list_join(bad)),
			   "Rows of kms.field_key were changed behind the extension's back; restore them from a backup.");
	older = kms_field_key_table_older();
	if (older != NIL)
		report(result, "error",
			   psprintf("field keys are older than the trail says they should be: %s",
						kms_name_list_join(names_of(older))),
			   "An old row of kms.field_key was restored, and a disabled or destroyed key may be in use again: see its events in kms.event, and repeat the last change. The finding ends when these events have left the trail.");
}

void
kms_check_fields_destroyed(KmsReport report, void *result)
{
	KmsMasterStatus *status = palloc(sizeof(KmsMasterStatus));
	List	   *found = NIL;

	kms_master_status(status);
	if (status->state == KMS_MASTER_READY && status->count > 0)
		found = kms_field_key_table_recoverable(status->id[0], status->count);
	if (found != NIL)
		report(result, "notice",
			   psprintf("destroyed field keys that earlier copies of kms.field_key could still open: %s",
						kms_name_list_join(names_of(found))),
			   "Dumps, backups, WAL and standbys may have their wrapped bytes, and the server has a master key that opens them: put a new master key on the first line, run kms_rewrap_keys() until it returns 0, and remove the old line and every copy of it.");
}

void
kms_check_fields_rights(KmsReport report, void *result)
{
	List	   *missing = NIL;
	List	   *holders;
	ListCell   *cell;
	int			right;

	foreach(cell, kms_field_key_table_fields())
	{
		const char *name = lfirst(cell);

		if (!kms_field_key_is_name(name, strlen(name)))
			continue;
		for (right = 0; right < KMS_FIELD_RIGHTS; right++)
		{
			if (!kms_field_right_exists(name, right))
				missing = lappend(missing,
								  psprintf("kms_field.\"%s/%s\"()", name,
										   kms_field_right_name(right)));
		}
	}
	if (missing != NIL)
		report(result, "warning",
			   psprintf("functions of rights are missing, so nobody but superusers has these rights: %s",
						kms_name_list_join(missing)),
			   "kms_maintain() makes them again; then grant EXECUTE on them to the roles that need it.");
	holders = kms_field_right_holders(HOLDERS_MAX);
	if (holders != NIL)
		report(result, "notice",
			   psprintf("roles that may decrypt fields: %s",
						kms_name_list_join(holders)),
			   "Revoke EXECUTE on the function of the field in schema kms_field from roles that should not.");
}

static List *
names_of(const List *places)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, places)
		names = lappend(names, name_of(lfirst(cell)));
	return names;
}

/* Return the label of a row as events have it. */
static char *
name_of(const KmsFieldPlace *place)
{
	if (place->version == KMS_FIELD_WHOLE)
		return psprintf("%s/all", place->name);
	return psprintf("%s/%d", place->name, place->version);
}
