#include "postgres.h"

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/import.h"

#include "crypto/pem_text.h"
#include "keys/create.h"
#include "keys/opened.h"
#include "keys/wrapping.h"
#include "pg/settings.h"
#include "store/key_lock.h"
#include "store/key_table.h"

/* how far the clock of a key's maker may be ahead of ours */
#define CLOCK_TOLERANCE USECS_PER_MINUTE

typedef struct ActiveKey
{
	const KmsKeyRow *wanted;
	TimestampTz now;
	bool		found;
} ActiveKey;

static void fill_row(const KmsImportRequest *request, TimestampTz now,
					 KmsKeyRow *row);
static KmsStatus check_times(const KmsImportRequest *request,
							 const KmsKeyRow *row, TimestampTz now,
							 KmsFault *fault);
static KmsStatus check_place(KmsCall *call, const KmsKeyRow *row,
							 KmsKeySecret *secret, KmsFault *fault);
static KmsStatus check_active(const KmsKeyRow *row, KmsFault *fault);
static bool is_active(const KmsKey *key, KmsRowOrigin origin, void *arg);

KmsStatus
kms_import_prepare(KmsCall *call, const KmsImportRequest *request,
				   KmsImport *import, KmsFault *fault)
{
	KmsKeyRow  *row = &import->row;
	TimestampTz now;
	KmsStatus	status = KMS_OK;

	PreventCommandDuringRecovery("kms_import_key()");
	PreventCommandIfReadOnly("kms_import_key()");
	PreventCommandIfParallelMode("kms_import_key()");
	CHECK_FOR_INTERRUPTS();

	/*
	 * Only an active key can conflict with other keys of its device.  The
	 * others take no lock, because a transaction may import more keys than
	 * there is room for locks.
	 */
	if (!request->deprecated)
		kms_key_lock_device(request->device_id);

	now = GetCurrentTimestamp();
	fill_row(request, now, row);
	import->named = request->named;
	if (request->key_id != NULL)
		strlcpy(row->key_id, request->key_id, sizeof(row->key_id));
	else
		status = kms_fault(fault, kms_create_key_id(now, row->key_id));

	if (status == KMS_OK)
		status = check_times(request, row, now, fault);
	if (status == KMS_OK)
		status = check_place(call, row, &import->secret, fault);
	if (status == KMS_OK)
		status = kms_create_prepare(request->device_id, request->app_version,
									fault);
	(void) kms_opened_opener(); /* this process now holds secrets */
	return status;
}

static void
fill_row(const KmsImportRequest *request, TimestampTz now, KmsKeyRow *row)
{
	memset(row, 0, sizeof(*row));
	row->created_at = request->has_created_at ? request->created_at : now;
	row->expires_at = request->has_expires_at ? request->expires_at
		: now + kms_key_lifetime * USECS_PER_SEC;
	row->state_changed_at = now;
	row->state = KMS_STATE_ACTIVE;
	row->row_version = 1;
	strlcpy(row->origin, KMS_ORIGIN_IMPORTED, sizeof(row->origin));
	strlcpy(row->device_id, request->device_id, sizeof(row->device_id));
	if (request->app_version != NULL)
	{
		row->has_app_version = true;
		strlcpy(row->app_version, request->app_version,
				sizeof(row->app_version));
	}
	if (request->deprecated)
	{
		row->state = KMS_STATE_DEPRECATED;
		row->has_state_reason = true;
		strlcpy(row->state_reason, KMS_IMPORT_REASON,
				sizeof(row->state_reason));
	}
}

static KmsStatus
check_times(const KmsImportRequest *request, const KmsKeyRow *row,
			TimestampTz now, KmsFault *fault)
{
	if (TIMESTAMP_NOT_FINITE(row->created_at))
		return kms_fault_argument(fault, "created_at must be finite", NULL,
								  NULL);
	if (TIMESTAMP_NOT_FINITE(row->expires_at))
		return kms_fault_argument(fault, "expires_at must be finite", NULL,
								  "Leave it NULL for a key that was never to expire: it gets kms.key_lifetime from now on.");
	if (row->created_at > now + CLOCK_TOLERANCE)
		return kms_fault_argument(fault, "created_at must not be in the future",
								  NULL,
								  "If the column has no time zone, write created_at AT TIME ZONE 'UTC'.");
	if (row->expires_at <= row->created_at)
		return kms_fault_argument(fault, "expires_at must be later than created_at",
								  NULL, NULL);
	if (row->expires_at <= now - kms_key_retention * USECS_PER_SEC)
		return kms_fault_argument(fault, "key is past its purge date", NULL,
								  "Leave out keys that expired longer ago than kms.key_retention: they would be purged at once.");
	return kms_fault(fault, KMS_OK);
}

static KmsStatus
check_place(KmsCall *call, const KmsKeyRow *row, KmsKeySecret *secret,
			KmsFault *fault)
{
	KmsKey		existing;

	if (kms_key_table_read(row->key_id, &existing))
	{
		kms_call_found(call, row->key_id, row->device_id);
		return kms_create_fault_exists(row, fault);
	}
	if (kms_secret_table_read(row->key_id, secret))
		return kms_fault_argument(fault,
								  "kms.key_secret has a row of this key id without its key",
								  NULL,
								  "Restore the key's row, or delete that one, or give another key id.");
	return kms_fault(fault, KMS_OK);
}

/* A device may have one active key of each kind.  Must hold its lock. */
static KmsStatus
check_active(const KmsKeyRow *row, KmsFault *fault)
{
	ActiveKey	active = {row, GetCurrentTimestamp(), false};

	if (row->state != KMS_STATE_ACTIVE || row->expires_at <= active.now)
		return kms_fault(fault, KMS_OK);
	kms_key_table_visit_device(row->device_id, is_active, &active);
	if (!active.found)
		return kms_fault(fault, KMS_OK);
	return kms_fault_argument(fault,
							  "device already has an active key of this kind",
							  NULL,
							  "Import the key as deprecated, or rotate the device's key after the import.");
}

static bool
is_active(const KmsKey *key, KmsRowOrigin origin, void *arg)
{
	ActiveKey  *active = arg;

	active->found = kms_key_state(key) == KMS_STATE_ACTIVE &&
		kms_kind_same(&key->row, active->wanted) &&
		key->row.expires_at > active->now;
	return !active->found;
}

KmsStatus
kms_import_read(const KmsImport *import, const char *pem, size_t len,
				KmsKeyPair **key, KmsFault *fault)
{
	KmsKeyOpener *opener = kms_opened_opener();
	const KmsImportRefusalRow *refused;
	KmsImportRefusal refusal;
	KmsStatus	status;

	do
	{
		status = kms_pem_import(opener, pem, len, key, &refusal);
	} while (status == KMS_NO_MEMORY && kms_opened_make_room());
	refused = kms_import_refusal_row(refusal);
	if (status == KMS_BAD_KEY)
		return kms_fault_argument(fault,
								  psprintf("private key cannot be imported: %s",
										   refused->why),
								  NULL, refused->hint);
	return kms_fault(fault, status);
}

KmsStatus
kms_import_store(KmsCall *call, KmsImport *import, KmsKeyPair *key,
				 KmsFault *fault)
{
	KmsKeyRow  *row = &import->row;
	KmsStatus	status;

	kms_call_ends_as(call, KMS_CALL_CHANGED);
	kms_key_pair_algorithm(key, row->algorithm);
	status = kms_kind_fill_digests(kms_key_pair_type(key), &import->named, row,
								   fault);
	if (status == KMS_OK)
		status = kms_wrapping_wrap(row, key, &import->secret, fault);
	kms_key_pair_free(key);

	/* the key is wrapped and freed, so errors may be raised from here on */
	if (status == KMS_OK)
		status = check_active(row, fault);
	if (status == KMS_OK)
		status = kms_create_insert_sealed(row, &import->secret, fault);
	if (status == KMS_OK || fault->sqlstate == ERRCODE_UNIQUE_VIOLATION)
		kms_call_found(call, row->key_id, row->device_id);
	return status;
}

void
kms_import_name_key(const KmsImportRequest *request, KmsFault *fault)
{
	bool		named = request->key_id != NULL;
	StringInfoData detail;

	if (fault->status != KMS_INVALID_ARGUMENT ||
		(!named && request->device_id == NULL))
		return;
	initStringInfo(&detail);
	if (fault->detail != NULL)
		appendStringInfo(&detail, "%s ", fault->detail);
	appendStringInfoString(&detail, "The refused key is");
	if (named)
		appendStringInfo(&detail, " \"%s\"", request->key_id);
	if (request->device_id != NULL)
		appendStringInfo(&detail, " of device \"%s\"", request->device_id);
	appendStringInfoChar(&detail, '.');
	fault->detail = detail.data;
}
