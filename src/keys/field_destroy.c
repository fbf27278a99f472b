#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/field_destroy.h"

#include "keys/clock.h"
#include "keys/field_change.h"
#include "keys/field_row.h"
#include "pg/settings.h"
#include "shmem/master.h"
#include "shmem/progress.h"

static KmsStatus check_waited(const KmsFieldRow *rows, int count,
							  KmsFault *fault);
static bool destroy_rows(const char *name);
static bool destroy_row(const KmsFieldPlace *place, const char *name);

KmsStatus
kms_field_destroy(KmsCall *call, const char *name, int version,
				  KmsFault *fault)
{
	KmsFieldRow *rows = palloc0(3 * sizeof(KmsFieldRow));
	KmsFieldPlace place = {.version = version};
	int			count = 1;
	bool		again;			/* what a restore, for example, brought back */
	KmsStatus	status;

	kms_field_change_check();
	status = kms_field_change_lock(name, KMS_FIELD_WHOLE, KMS_FIELD_LOCK_TO_DESTROY,
								   &rows[0], fault);
	if (status == KMS_OK && version != KMS_FIELD_WHOLE)
		status = kms_field_change_lock(name, version, KMS_FIELD_LOCK_TO_DESTROY,
									   &rows[count++], fault);
	if (status != KMS_OK)
		return status;
	kms_field_change_label(call, name, version);
	again = rows[0].state == KMS_FIELD_DESTROYED;
	if (version == KMS_FIELD_WHOLE
		? again && kms_field_key_table_undestroyed(name) == NIL
		: rows[1].state == KMS_FIELD_DESTROYED)
	{
		kms_call_ends_as(call, KMS_CALL_UNCHANGED);
		return status;
	}
	if (strchr(name, '.') != NULL &&
		kms_field_key_table_read(pnstrdup(name, strchr(name, '.') - name),
								 KMS_FIELD_WHOLE, &rows[count]))
		count++;
	status = again ? kms_field_change_check_sealed(&rows[0], fault)
		: check_waited(rows, count, fault);
	if (status != KMS_OK)
		return status;
	strlcpy(place.name, name, sizeof(place.name));
	if (version == KMS_FIELD_WHOLE)
	{
		kms_progress_begin("kms_destroy_field_key");
		while (destroy_rows(name))
			;
		kms_progress_end();
	}
	else
	{
		KmsFieldRow *newest = &rows[2];

		if (!again && kms_field_key_table_newest(rows[0].id, newest) &&
			newest->version == version)
		{
			fault->message = psprintf("version %d is the newest of field key \"%s\"",
									  version, name);
			fault->hint = "Make the next version with kms_rotate_field_key(), and move the values with kms_refresh_field(), before this one is destroyed; or destroy all versions.";
			return kms_fault(fault, KMS_FIELD_KEY_STATE);
		}
		destroy_row(&place, name);
	}
	kms_call_ends_as(call, KMS_CALL_CHANGED);
	return status;
}

/*
 * Destroy the rows of a key and of those under it, and return whether there
 * were any.  A version may have been added before row 0 of its key was locked,
 * so the caller looks again until there is none.
 */
static bool
destroy_rows(const char *name)
{
	List	   *places;
	bool		any = false;
	ListCell   *cell;

	kms_progress_phase("destroying versions", KMS_PROGRESS_UNKNOWN);
	places = kms_field_key_table_undestroyed(name);
	kms_progress_expect(kms_progress_done() + list_length(places));
	foreach(cell, places)
	{
		if (destroy_row(lfirst(cell), name))
			any = true;
		kms_progress_add(1);
	}
	return any;
}

/* Check that one of the rows has been disabled for long enough. */
static KmsStatus
check_waited(const KmsFieldRow *rows, int count, KmsFault *fault)
{
	TimestampTz earliest = 0;
	KmsClock	clock;
	int			i;

	kms_clock_read(&clock);
	if (!clock.known && kms_master_generation() == 0)
		return kms_fault(fault, KMS_NO_MASTER_KEY);
	if (!clock.known)
	{
		fault->message = "the clock of maintenance is not known yet";
		fault->hint = "The clock begins with the first key of a device or the first signature of the trail; kms_maintain(confirm_clock => true) sets it to the server's clock.";
		return kms_fault(fault, KMS_FIELD_KEY_STATE);
	}
	for (i = 0; i < count; i++)
	{
		TimestampTz from = rows[i].state_changed_at +
		(TimestampTz) kms_field_destroy_after * USECS_PER_SEC;
		KmsStatus	status;

		if (rows[i].state != KMS_FIELD_DISABLED)
			continue;
		status = kms_field_change_check_sealed(&rows[i], fault);
		if (status != KMS_OK)
			return status;
		if (from <= clock.due)
			return kms_fault(fault, KMS_OK);
		if (earliest == 0 || from < earliest)
			earliest = from;
	}
	if (earliest == 0)
	{
		fault->message = "only a disabled field key or version can be destroyed";
		fault->hint = "Disable it with kms_disable_field_key() first, and wait for kms.field_destroy_after.";
	}
	else
	{
		fault->message = psprintf("field key \"%s\" has not been disabled for long enough",
								  rows[0].name);
		fault->detail = psprintf("It can be destroyed from %s on.",
								 timestamptz_to_str(earliest));
		fault->hint = "The time is kms.field_destroy_after. Until then kms_enable_field_key() makes it usable again.";
	}
	return kms_fault(fault, KMS_FIELD_KEY_STATE);
}

/*
 * Remove the wrapped bytes of a row.  The row itself stays, so that its name
 * and id are not used again.  A key under the field "name" has an event of its
 * own.  Return false if the row is gone.
 */
static bool
destroy_row(const KmsFieldPlace *place, const char *name)
{
	KmsFieldRow *row = palloc(sizeof(KmsFieldRow));
	KmsFault	ignored = {0};
	bool		done;

	CHECK_FOR_INTERRUPTS();
	done = kms_field_change_lock(place->name, place->version,
								 KMS_FIELD_LOCK_TO_DESTROY, row,
								 &ignored) == KMS_OK;
	if (done)
	{
		kms_field_row_forget_secret(row);
		row->sealed = true;
		kms_field_change_write(row, KMS_FIELD_DESTROYED);
		if (place->version == KMS_FIELD_WHOLE && strcmp(place->name, name) != 0)
			kms_call_record_change(KMS_OP_DESTROY_FIELD_KEY,
								   psprintf("%s/all", place->name), "", NULL);
	}
	pfree(row);
	return done;
}
