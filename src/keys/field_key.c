/*
 * A new version takes a key-share lock of row 0, so that it neither waits for
 * a change of the state nor delays one, but no version is added to a key that
 * is being destroyed.  It does not touch the version before it, because a
 * denial of that one must not wait for the rotation's transaction.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "keys/field_key.h"

#include "crypto/random.h"
#include "keys/field_change.h"
#include "keys/field_row.h"
#include "keys/field_rows.h"
#include "pg/compat.h"
#include "pg/settings.h"
#include "shmem/master.h"
#include "store/field_right.h"

#define ROTATE_ATTEMPTS 5

static bool is_part(const char *text, size_t len, size_t most);
static KmsStatus exists(const KmsFieldRow *row, KmsFault *fault);
static void forget_due(const KmsFieldPlace *place);
static KmsStatus check_field(const char *name, bool enabled, KmsFault *fault);
static void begin_row(KmsFieldRow *row, const char *name, int version,
					  const unsigned char *id);
static TimestampTz due_at(const KmsFieldRow *whole, TimestampTz created_at);
static void insert_or_raise(KmsFieldRow *row, TimestampTz rotate_at);
static void follow_master_key(KmsFieldRow *row);
static KmsStatus rotate(const char *name, KmsFieldRow *next, KmsFault *fault);

bool
kms_field_key_is_name(const char *text, size_t len)
{
	const char *dot = memchr(text, '.', len);
	size_t		part = dot == NULL ? len : (size_t) (dot - text);

	return is_part(text, part, KMS_FIELD_NAME_PART) &&
		(dot == NULL || is_part(dot + 1, len - part - 1,
								KMS_FIELD_NAME_MAX - KMS_FIELD_NAME_PART - 1));
}

static bool
is_part(const char *text, size_t len, size_t most)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (!(text[i] >= 'a' && text[i] <= 'z') &&
			!(text[i] >= '0' && text[i] <= '9') &&text[i] != '_' &&
			text[i] != '-')
			return false;
	}
	return len >= 1 && len <= most;
}

/* ---- Create and rotate -------------------------------------------------- */

KmsStatus
kms_field_key_create(KmsCall *call, const char *name,
					 const Interval *rotate_after, KmsFault *fault)
{
	bool		is_field = strchr(name, '.') == NULL;
	unsigned char id[KMS_FIELD_ID_SIZE];
	KmsFieldRow *whole = palloc(sizeof(KmsFieldRow));
	KmsFieldRow *first = palloc(sizeof(KmsFieldRow));
	KmsStatus	status = KMS_OK;
	int			right;

	kms_field_change_check();
	if (!is_field)
		status = check_field(name, true, fault);
	if (status == KMS_OK && kms_field_key_table_read(name, KMS_FIELD_WHOLE, whole))
		status = exists(whole, fault);
	if (status == KMS_OK)
		status = kms_fault(fault, kms_random_public(id, sizeof(id)));
	if (status != KMS_OK)
		return status;

	begin_row(whole, name, KMS_FIELD_WHOLE, id);
	begin_row(first, name, 1, id);
	if (rotate_after != NULL)
	{
		whole->rotates = true;
		whole->rotate_after.month = rotate_after->month;
		whole->rotate_after.day = rotate_after->day;
		whole->rotate_after.time = rotate_after->time;
	}
	status = kms_field_row_make_secret(first, fault);
	if (status == KMS_OK)
		status = is_field ? kms_field_row_make_secret(whole, fault)
			: kms_field_row_seal(whole, fault);
	if (status != KMS_OK)
		return status;
	insert_or_raise(whole, 0);
	insert_or_raise(first, due_at(whole, first->created_at));
	for (right = 0; is_field && right < KMS_FIELD_RIGHTS; right++)
		kms_field_right_make(name, right);
	kms_field_change_label(call, name, 1);
	kms_call_ends_as(call, KMS_CALL_CHANGED);
	return status;
}

static KmsStatus
exists(const KmsFieldRow *row, KmsFault *fault)
{
	if (row->state == KMS_FIELD_DESTROYED)
		return kms_fault_argument(fault,
								  psprintf("field key \"%s\" existed", row->name),
								  "The name of a destroyed key is not used again.",
								  NULL);
	return kms_fault_argument(fault,
							  psprintf("field key \"%s\" exists", row->name),
							  NULL, NULL);
}

KmsStatus
kms_field_key_rotate(KmsCall *call, const char *name, int *version,
					 KmsFault *fault)
{
	KmsFieldRow *next = palloc(sizeof(KmsFieldRow));
	KmsStatus	status;

	kms_field_change_check();
	status = rotate(name, next, fault);
	if (status != KMS_OK)
		return status;
	*version = next->version;
	kms_field_change_label(call, name, next->version);
	kms_call_ends_as(call, KMS_CALL_CHANGED);
	return status;
}

bool
kms_field_key_rotate_due(const KmsFieldPlace *place, TimestampTz now)
{
	KmsFieldRow *row = palloc(sizeof(KmsFieldRow));
	KmsFault	ignored = {0};
	bool		due;

	/*
	 * The list goes by an unsealed column, so judge by the sealed ones.  It
	 * may also name a version that somebody has already followed by the next.
	 */
	due = kms_field_key_table_read(place->name, KMS_FIELD_WHOLE, row) &&
		row->state == KMS_FIELD_ENABLED && row->rotates &&
		kms_field_row_check(row, &ignored) == KMS_OK;
	if (due)
	{
		KmsFieldRow *newest = palloc(sizeof(KmsFieldRow));

		due = kms_field_key_table_newest(row->id, newest);
		if (due && newest->version != place->version)
		{
			forget_due(place);
			due = false;
		}
		due = due &&
			kms_field_row_check(newest, &ignored) == KMS_OK &&
			due_at(row, newest->created_at) <= now;
		if (due)
			due = rotate(place->name, row, &ignored) == KMS_OK;
		pfree(newest);
	}
	if (due)
	{
		char		name[KMS_FIELD_LABEL_SIZE];

		forget_due(place);
		snprintf(name, sizeof(name), "%s/%d", row->name, row->version);
		kms_call_record_change(KMS_OP_ROTATE_FIELD_KEY, name, "", NULL);
	}
	pfree(row);
	return due;
}

static void
forget_due(const KmsFieldPlace *place)
{
	if (kms_field_key_table_lock(place->name, place->version,
								 KMS_FIELD_TRY_LOCK_TO_CHANGE))
		kms_field_key_table_rotated(place->name, place->version);
}

static KmsStatus
rotate(const char *name, KmsFieldRow *next, KmsFault *fault)
{
	KmsFieldRow *whole = palloc(sizeof(KmsFieldRow));
	KmsFieldRow *newest = palloc(sizeof(KmsFieldRow));
	int			attempt;
	KmsStatus	status = KMS_OK;

	if (strchr(name, '.') != NULL)
		status = check_field(name, false, fault);
	if (status == KMS_OK)
		status = kms_field_change_lock(name, KMS_FIELD_WHOLE,
									   KMS_FIELD_LOCK_TO_ADD, whole, fault);
	if (status == KMS_OK && whole->state == KMS_FIELD_DESTROYED)
		status = kms_field_change_refuse_destroyed(whole, fault);
	if (status == KMS_OK)
		status = kms_field_change_check_sealed(whole, fault);
	if (status != KMS_OK)
		return status;
	for (attempt = 0; attempt < ROTATE_ATTEMPTS; attempt++)
	{
		TimestampTz rotate_at;

		if (!kms_field_key_table_newest(whole->id, newest))
			return kms_fault(fault, KMS_FIELD_KEY_NOT_FOUND);
		if (newest->version >= KMS_FIELD_VERSION_MAX)
		{
			fault->message = psprintf("field key \"%s\" has %d versions, which is the most",
									  name, newest->version);
			fault->hint = "Create another field key, and move the values with kms_refresh_field().";
			return kms_fault(fault, KMS_FIELD_KEY_STATE);
		}
		begin_row(next, name, newest->version + 1, whole->id);
		status = kms_field_row_make_secret(next, fault);
		if (status != KMS_OK)
			return status;
		rotate_at = due_at(whole, next->created_at);
		if (kms_field_key_table_insert(next, rotate_at))
		{
			follow_master_key(next);
			kms_field_key_table_changed();
			return kms_fault(fault, KMS_OK);
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not add a version to field key \"%s\", because others do the same",
					name),
			 errhint("Run the transaction again."),
			 KMS_HIDE_STATEMENT));
}

/*
 * The field of a key must exist and must stay, and be enabled if that is asked
 * for.
 */
static KmsStatus
check_field(const char *name, bool enabled, KmsFault *fault)
{
	char	   *field = pnstrdup(name, strchr(name, '.') - name);
	KmsFieldRow *row = palloc(sizeof(KmsFieldRow));
	KmsStatus	status;

	status = kms_field_change_lock(field, KMS_FIELD_WHOLE, KMS_FIELD_LOCK_TO_ADD, row,
								   fault);
	if (status == KMS_OK && row->state == KMS_FIELD_DESTROYED)
		status = kms_field_change_refuse_destroyed(row, fault);
	else if (status == KMS_OK && enabled && row->state == KMS_FIELD_DISABLED)
	{
		fault->message = psprintf("field key \"%s\" is disabled", field);
		status = kms_fault(fault, KMS_FIELD_KEY_DISABLED);
	}
	pfree(row);
	return status;
}

static void
begin_row(KmsFieldRow *row, const char *name, int version,
		  const unsigned char *id)
{
	memset(row, 0, sizeof(*row));
	strlcpy(row->name, name, sizeof(row->name));
	memcpy(row->id, id, sizeof(row->id));
	row->version = version;
	row->state = KMS_FIELD_ENABLED;
	row->created_at = GetCurrentTimestamp();
	row->state_changed_at = row->created_at;
	row->row_version = 1;
}

/* Return when the version after one of this date is due, 0 for never. */
static TimestampTz
due_at(const KmsFieldRow *whole, TimestampTz created_at)
{
	Interval	after = whole->rotate_after;

	if (!whole->rotates)
		return 0;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
												   TimestampTzGetDatum(created_at),
												   IntervalPGetDatum(&after)));
}

/* Another session may have made it in the meantime. */
static void
insert_or_raise(KmsFieldRow *row, TimestampTz rotate_at)
{
	if (!kms_field_key_table_insert(row, rotate_at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("field key \"%s\" exists", row->name),
				 KMS_HIDE_STATEMENT));
	follow_master_key(row);
}

/*
 * A pass of kms_rewrap_keys() that began before the row was inserted has not
 * seen it.  So if the current master key has changed since the row was
 * wrapped, wrap it again.
 */
static void
follow_master_key(KmsFieldRow *row)
{
	const unsigned char *id = kms_seal_master_key_id(row->seal,
													 sizeof(row->seal));
	KmsFault	fault = {0};
	KmsMasterStatus *master = palloc(sizeof(KmsMasterStatus));
	int			place;

	kms_master_status(master);
	place = kms_master_place(master, id);
	pfree(master);
	if (place == 0)
		return;
	if (kms_field_row_wrap_again(row, &fault) != KMS_OK)
		kms_fault_raise(&fault);
	(void) kms_field_key_table_update(row, row->row_version);
}

/* ---- Rights ------------------------------------------------------------- */

List *
kms_field_key_missing_rights(void)
{
	List	   *missing = NIL;
	ListCell   *cell;
	int			right;

	foreach(cell, kms_field_key_table_fields())
	{
		const char *name = lfirst(cell);

		/* the table may have been written by others */
		if (!kms_field_key_is_name(name, strlen(name)))
			continue;
		for (right = 0; right < KMS_FIELD_RIGHTS; right++)
		{
			if (!kms_field_right_exists(name, right))
				missing = lappend(missing, psprintf("%s/%s", name,
													kms_field_right_name(right)));
		}
	}
	return missing;
}

bool
kms_field_key_make_right(const char *function)
{
	const char *slash = strchr(function, '/');
	char	   *field = pnstrdup(function, slash - function);
	int			right;

	/* under the lock, because two rounds may run at the same time */
	if (!kms_field_key_table_lock(field, KMS_FIELD_WHOLE,
								  KMS_FIELD_TRY_LOCK_TO_CHANGE))
		return false;
	for (right = 0; right < KMS_FIELD_RIGHTS; right++)
	{
		if (strcmp(kms_field_right_name(right), slash + 1) == 0 &&
			!kms_field_right_exists(field, right))
		{
			kms_field_right_make(field, right);
			return true;
		}
	}
	return false;
}
