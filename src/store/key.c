#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/key.h"

#include "store/scan.h"

/* columns of kms.key, in the order of the script */
enum
{
	KEY_ID = KMS_KEY_COLUMN_ID, KEY_DEVICE_ID = KMS_KEY_COLUMN_DEVICE_ID, KEY_APP_VERSION, KEY_ALGORITHM, KEY_OAEP_HASH,
	KEY_MGF1_HASH, KEY_ORIGIN, KEY_STATE, KEY_PRIOR_STATE, KEY_STATE_REASON, KEY_CREATED_AT,
	KEY_EXPIRES_AT, KEY_STATE_CHANGED_AT, KEY_DELETE_AT, KEY_ROW_VERSION,
	KEY_SEAL, KEY_TRIED_AT
};

static const char *const state_names[] = {
	"none", "active", "deprecated", "disabled", "revoked", "pending_deletion",
	"unknown"
};

static bool read_text(Datum value, bool isnull, char *out, size_t size,
					  KmsKeyRow *row);
static KmsKeyState state_by_name(const char *name);

const char *
kms_key_state_name(KmsKeyState state)
{
	return state_names[state];
}

KmsKeyState
kms_key_state(const KmsKey *key)
{
	KmsKeyState state = key->row.state;
	KmsKeyState denied = key->denial.state;

	if (state != KMS_STATE_UNKNOWN &&
		(denied == KMS_STATE_REVOKED || denied == KMS_STATE_PENDING_DELETION))
		return denied;
	return Max(state, denied);
}

TimestampTz
kms_key_delete_at(const KmsKey *key)
{
	return key->row.has_delete_at ? key->row.delete_at : key->denial.delete_at;
}

void
kms_key_fill(HeapTuple tuple, TupleDesc desc, KmsKeyRow *row)
{
	Datum		values[KMS_SCAN_COLUMNS_MAX];
	bool		nulls[KMS_SCAN_COLUMNS_MAX];
	char		state[32];

	memset(row, 0, sizeof(*row));
	kms_scan_deform(tuple, desc, values, nulls);

#define TEXT(column, field) \
	read_text(values[(column) - 1], nulls[(column) - 1], \
			  (field), sizeof(field), row)
#define TIME(column) \
	(nulls[(column) - 1] ? 0 : DatumGetTimestampTz(values[(column) - 1]))

	TEXT(KEY_ID, row->key_id);
	TEXT(KEY_DEVICE_ID, row->device_id);
	row->has_app_version = TEXT(KEY_APP_VERSION, row->app_version);
	TEXT(KEY_ALGORITHM, row->algorithm);
	TEXT(KEY_OAEP_HASH, row->oaep_hash);
	TEXT(KEY_MGF1_HASH, row->mgf1_hash);
	TEXT(KEY_ORIGIN, row->origin);
	TEXT(KEY_STATE, state);
	row->state = state_by_name(state);
	if (TEXT(KEY_PRIOR_STATE, state))
		row->prior_state = state_by_name(state);
	row->has_state_reason = TEXT(KEY_STATE_REASON, row->state_reason);
	row->created_at = TIME(KEY_CREATED_AT);
	row->expires_at = TIME(KEY_EXPIRES_AT);
	row->state_changed_at = TIME(KEY_STATE_CHANGED_AT);
	row->has_delete_at = !nulls[KEY_DELETE_AT - 1];
	row->delete_at = TIME(KEY_DELETE_AT);
	row->row_version = nulls[KEY_ROW_VERSION - 1] ? 0
		: DatumGetInt64(values[KEY_ROW_VERSION - 1]);
	row->sealed = !nulls[KEY_SEAL - 1];
	if (row->sealed &&
		kms_scan_bytes(values[KEY_SEAL - 1], false, row->seal,
					   sizeof(row->seal)) != KMS_SEAL_SIZE)
		row->malformed = true;

#undef TEXT
#undef TIME
}

/*
 * Read a text.  A text that does not fit is not ours, so it makes the row
 * malformed.
 */
static bool
read_text(Datum value, bool isnull, char *out, size_t size, KmsKeyRow *row)
{
	text	   *detoasted;
	size_t		len;

	out[0] = '\0';
	if (isnull)
		return false;
	detoasted = DatumGetTextPP(value);
	len = VARSIZE_ANY_EXHDR(detoasted);
	if (len >= size)
		row->malformed = true;
	else
	{
		memcpy(out, VARDATA_ANY(detoasted), len);
		out[len] = '\0';
	}
	if ((Pointer) detoasted != DatumGetPointer(value))
		pfree(detoasted);
	return true;
}

static KmsKeyState
state_by_name(const char *name)
{
	int			i;

	for (i = KMS_STATE_ACTIVE; i < KMS_STATE_UNKNOWN; i++)
	{
		if (strcmp(name, state_names[i]) == 0)
			return (KmsKeyState) i;
	}
	return KMS_STATE_UNKNOWN;
}

/*
 * If the transaction's own snapshot does not see a version, another
 * transaction has written it since.  If a version is of a command that began
 * after the running statement took its snapshot, the statement has written it.
 */
KmsRowOrigin
kms_key_origin(HeapTuple tuple)
{
	TransactionId xmin = HeapTupleHeaderGetXmin(tuple->t_data);

	if (HeapTupleHeaderXminFrozen(tuple->t_data))
		return KMS_ROW_BEFORE;
	if (TransactionIdIsCurrentTransactionId(xmin))
		return ActiveSnapshotSet() &&
			HeapTupleHeaderGetCmin(tuple->t_data) >= GetActiveSnapshot()->curcid
			? KMS_ROW_OF_STATEMENT : KMS_ROW_BEFORE;
	if (IsolationUsesXactSnapshot() &&
		XidInMVCCSnapshot(xmin, GetTransactionSnapshot()))
		return KMS_ROW_STALE;
	return KMS_ROW_BEFORE;
}
