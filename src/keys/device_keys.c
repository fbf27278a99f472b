#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/device_keys.h"

#include "keys/admit.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "store/key_lock.h"
#include "store/key_table.h"

static const char *lock_active(const KmsDeviceKeys *keys);
static bool gather(const KmsKey *key, KmsRowOrigin origin, void *arg);

void
kms_device_keys_read(KmsDeviceKeys *keys, const char *device_id,
					 const KmsKind *named, bool only_valid)
{
	memset(keys, 0, sizeof(*keys));
	if (named != NULL)
		keys->named = *named;
	keys->now = GetCurrentTimestamp();
	keys->only_valid = only_valid;
	kms_key_table_visit_device(device_id, gather, keys);
}

void
kms_device_keys_lock(KmsDeviceKeys *keys, const char *device_id,
					 const KmsKind *named)
{
	kms_key_lock_device(device_id);
	kms_device_keys_read(keys, device_id, named, false);
	if (keys->stale)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent change of the device's keys"),
				 errhint("Run the transaction again."),
				 KMS_HIDE_STATEMENT));
}

bool
kms_device_keys_try_lock(KmsDeviceKeys *keys, const char *device_id,
						 const KmsKind *named)
{
	if (!kms_key_lock_try_device(device_id))
		return false;
	kms_device_keys_read(keys, device_id, named, false);
	return !keys->stale;
}

void
kms_device_keys_lock_all(KmsDeviceKeys *keys, const char *device_id,
						 const KmsKind *named)
{
	const char *busy;

	for (;;)
	{
		kms_device_keys_lock(keys, device_id, named);
		busy = keys->of_statement ? NULL : lock_active(keys);
		if (busy == NULL)
			return;
		kms_key_lock_release_device(device_id);
		(void) kms_key_lock_row(busy, KMS_LOCK_TO_CHANGE);
	}
}

/*
 * Lock the rows of the active keys.  Return the first key that another session
 * holds, or NULL if all are locked.
 */
static const char *
lock_active(const KmsDeviceKeys *keys)
{
	ListCell   *cell;

	foreach(cell, keys->active)
	{
		const KmsKey *key = lfirst(cell);

		if (!kms_key_lock_row(key->row.key_id, KMS_TRY_LOCK_TO_CHANGE))
			return key->row.key_id;
	}
	return NULL;
}

static bool
gather(const KmsKey *key, KmsRowOrigin origin, void *arg)
{
	KmsDeviceKeys *keys = arg;
	const KmsKeyRow *row = &key->row;
	bool		problematic;
	bool		valid = kms_key_state(key) == KMS_STATE_ACTIVE &&
	row->expires_at > keys->now && kms_kind_matches(&keys->named, row);

	if (valid && !keys->found)
	{
		keys->found = true;
		keys->of_statement = origin == KMS_ROW_OF_STATEMENT &&
			row->row_version == 1 &&
			strcmp(row->origin, KMS_ORIGIN_IMPORTED) != 0 &&
			strcmp(row->origin, KMS_ORIGIN_RENEWAL) != 0;
		keys->valid = *key;
	}
	if (keys->only_valid)
		return !keys->found;

	keys->stale = keys->stale || origin == KMS_ROW_STALE;
	if (kms_key_state(key) == KMS_STATE_ACTIVE)
	{
		KmsKey	   *copy = palloc(sizeof(KmsKey));

		*copy = *key;
		keys->active = lappend(keys->active, copy);
	}
	if (strcmp(row->origin, KMS_ORIGIN_GENERATED) == 0 &&
		row->created_at <= keys->now &&
		row->created_at > keys->now - kms_keygen_window * USECS_PER_SEC)
	{
		/*
		 * Newest first: another key is allowed when the limit-th leaves the
		 * window.
		 */
		keys->used++;
		if (keys->used <= kms_keygen_limit)
			keys->next_at = row->created_at + kms_keygen_window * USECS_PER_SEC;
	}
	problematic = kms_admit_is_problematic(key);
	if (problematic)
	{
		keys->problematic_at = Max(keys->problematic_at, row->created_at);
		keys->problematic++;
	}
	if (strcmp(row->origin, KMS_ORIGIN_REPLACEMENT) == 0)
	{
		if (row->created_at <= keys->now)
			keys->replaced_at = Max(keys->replaced_at, row->created_at);
		keys->replacements += problematic ? 0 : 1;
	}
	return true;
}

/*
 * The first key after maintenance deprecated one does not count for the limit.
 * Decide by the creation times of the keys, which no later change affects, and
 * by their numbers, because the clock may have been set back.
 */
bool
kms_device_keys_need_replacement(const KmsDeviceKeys *keys)
{
	return keys->problematic_at != 0 &&
		keys->replaced_at <= keys->problematic_at &&
		keys->replacements < keys->problematic;
}
