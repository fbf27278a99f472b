#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/relation.h"
#include "access/subtrans.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pg/catalog.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "store/denial_table.h"
#include "store/key_table.h"
#include "store/prepared.h"
#include "store/scan.h"
#include "store/spi.h"

/* columns of kms.key and kms.key_secret, in the order of the script */
enum
{
	KEY_ID = 1, KEY_DEVICE_ID, KEY_APP_VERSION, KEY_ALGORITHM, KEY_OAEP_HASH,
	KEY_ORIGIN, KEY_STATE, KEY_PRIOR_STATE, KEY_STATE_REASON, KEY_CREATED_AT,
	KEY_EXPIRES_AT, KEY_STATE_CHANGED_AT, KEY_DELETE_AT, KEY_ROW_VERSION,
	KEY_SEAL, KEY_TRIED_AT
};

enum
{
	SECRET_ID = 1, SECRET_PUBLIC_KEY, SECRET_WRAPPED_KEY
};

#define LOCK_ROW \
	"SELECT 1 FROM kms.key WHERE key_id OPERATOR(pg_catalog.=) $1 FOR "

#define WAITS_FOR_PREPARED \
	"The call waits until COMMIT PREPARED or ROLLBACK PREPARED ends it."

/* a later version of the extension may have added some */
#define COLUMNS_MAX 32

/*
 * Locks of our own are heavyweight object locks of a class that no SQL
 * command locks objects of: a table of ours for devices, a number that is no
 * catalog for places to generate.
 */

static const char *const state_names[] = {
	"none", "active", "deprecated", "disabled", "revoked", "pending_deletion",
	"unknown"
};

static void wait_for_device(const LOCKTAG *tag);
static void hint_while_waiting(ErrorContextCallback *callback);
static void add_hint(void *arg);
static char *row_holder(const char *key_id);
static char *prepared_among(TransactionId xmax, uint16 infomask);
static char *prepared_name(TransactionId xid);
static void set_device_tag(LOCKTAG *tag, const char *device_id);
static void deform(HeapTuple tuple, TupleDesc desc, Datum *values, bool *nulls);
static void read_row(HeapTuple tuple, TupleDesc desc, KmsKeyRow *row);
static bool read_text(Datum value, bool isnull, char *out, size_t size,
					  KmsKeyRow *row);
static KmsKeyState state_by_name(const char *name);

const char *
kms_key_row_state_name(KmsKeyState state)
{
	return state_names[state];
}

KmsKeyState
kms_key_row_state(const KmsKeyRow *row)
{
	KmsKeyState denied = row->denial.state;

	if (row->state != KMS_STATE_UNKNOWN &&
		(denied == KMS_STATE_REVOKED || denied == KMS_STATE_PENDING_DELETION))
		return denied;
	return Max(row->state, denied);
}

/*
 * The row and what denies its use are read under one snapshot, for one commit
 * may change both.  Both tables are locked before it is taken, as a table that
 * is rewritten meanwhile would show nothing; in the order in which the script
 * made them, in which DROP EXTENSION locks them, too.
 */
bool
kms_key_table_read(const char *key_id, KmsKeyRow *row)
{
	const KmsCatalog *catalog = kms_catalog();
	Relation	rel = table_open(catalog->key, AccessShareLock);
	Relation	denials = table_open(catalog->denial, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(catalog->key));
	ScanKeyData scan_key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	kms_scan_text(&scan_key, KEY_ID, key_id);
	scan = systable_beginscan(rel, catalog->key_pkey, true, snapshot, 1,
							  &scan_key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		read_row(tuple, RelationGetDescr(rel), row);
		if (kms_denial_table_any())
			(void) kms_denial_table_read(key_id, snapshot, &row->denial);
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, AccessShareLock);
	table_close(denials, AccessShareLock);
	return found;
}

bool
kms_secret_table_read(const char *key_id, KmsKeySecret *secret)
{
	const KmsCatalog *catalog = kms_catalog();
	Relation	rel = table_open(catalog->key_secret, AccessShareLock);
	ScanKeyData scan_key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Datum		values[COLUMNS_MAX];
	bool		nulls[COLUMNS_MAX];
	bool		found;

	kms_scan_text(&scan_key, SECRET_ID, key_id);
	scan = systable_beginscan(rel, catalog->key_secret_pkey, true, NULL, 1,
							  &scan_key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		deform(tuple, RelationGetDescr(rel), values, nulls);
		secret->public_len = kms_scan_bytes(values[SECRET_PUBLIC_KEY - 1],
											nulls[SECRET_PUBLIC_KEY - 1],
											secret->public_key,
											sizeof(secret->public_key));
		secret->wrapped_len = kms_scan_bytes(values[SECRET_WRAPPED_KEY - 1],
											 nulls[SECRET_WRAPPED_KEY - 1],
											 secret->wrapped_key,
											 sizeof(secret->wrapped_key));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

void
kms_key_table_visit_device(const char *device_id, KmsKeyVisitor visit, void *arg)
{
	const KmsCatalog *catalog = kms_catalog();
	Relation	rel = table_open(catalog->key, AccessShareLock);
	Relation	index = index_open(catalog->key_device_idx, AccessShareLock);
	Relation	denials = table_open(catalog->denial, AccessShareLock);
	Snapshot	snapshot = RegisterSnapshot(GetCatalogSnapshot(catalog->key));
	bool		denied = kms_denial_table_any();
	ScanKeyData scan_key;
	SysScanDesc scan;
	HeapTuple	tuple;
	KmsKeyRow  *row = palloc(sizeof(KmsKeyRow));

	kms_scan_text(&scan_key, KEY_DEVICE_ID, device_id);
	scan = systable_beginscan_ordered(rel, index, snapshot, 1, &scan_key);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan,
															 BackwardScanDirection)))
	{
		KmsRowOrigin origin = kms_key_row_origin(tuple);

		CHECK_FOR_INTERRUPTS();
		read_row(tuple, RelationGetDescr(rel), row);
		if (denied && kms_denial_table_read(row->key_id, snapshot, &row->denial))
			origin = KMS_ROW_STALE;
		if (!visit(row, origin, arg))
			break;
	}
	systable_endscan_ordered(scan);
	UnregisterSnapshot(snapshot);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	table_close(denials, AccessShareLock);
	pfree(row);
}

/*
 * A version that the transaction's own snapshot does not see was written
 * after it was taken, by somebody else; one of a command that began after the
 * running statement took its snapshot, by the statement.
 */
KmsRowOrigin
kms_key_row_origin(HeapTuple tuple)
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

void
kms_key_table_lock_device(const char *device_id)
{
	LOCKTAG		tag;

	set_device_tag(&tag, device_id);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		wait_for_device(&tag);
	AcceptInvalidationMessages();
}

/* A prepared transaction may have been left behind, and may never end. */
static void
wait_for_device(const LOCKTAG *tag)
{
	char	   *holder = kms_prepared_holder(tag);
	ErrorContextCallback callback;

	if (holder != NULL)
		ereport(NOTICE,
				(errmsg("the keys of this device are held by prepared transaction \"%s\"",
						holder),
				 errhint(WAITS_FOR_PREPARED),
				 KMS_HIDE_STATEMENT));
	hint_while_waiting(&callback);
	(void) LockAcquire(tag, ExclusiveLock, false, false);
	error_context_stack = callback.previous;
}

/* Until the caller restores error_context_stack. */
static void
hint_while_waiting(ErrorContextCallback *callback)
{
	callback->callback = add_hint;
	callback->arg = NULL;
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

static void
add_hint(void *arg)
{
	int			code = geterrcode();

	if (code == ERRCODE_LOCK_NOT_AVAILABLE || code == ERRCODE_QUERY_CANCELED)
		errhint("Another transaction has changed keys of this device and has not ended; it may be a prepared one that was left behind, see pg_prepared_xacts and kms_check().");
}

void
kms_key_table_unlock_device(const char *device_id)
{
	LOCKTAG		tag;

	set_device_tag(&tag, device_id);
	(void) LockRelease(&tag, ExclusiveLock, false);
}

static void
set_device_tag(LOCKTAG *tag, const char *device_id)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) device_id,
										   strlen(device_id), 0);

	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, kms_catalog()->key,
					   (uint32) (hash >> 32), (uint16) hash);
}

bool
kms_key_table_insert(const KmsKeyRow *row, const KmsKeySecret *secret)
{
	static SPIPlanPtr plan = NULL;
	static SPIPlanPtr secret_plan = NULL;
	KmsSpi		spi;
	bool		done;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->key_id);
	kms_spi_text(&spi, row->device_id);
	kms_spi_text(&spi, row->has_app_version ? row->app_version : NULL);
	kms_spi_text(&spi, row->algorithm);
	kms_spi_text(&spi, row->oaep_hash);
	kms_spi_text(&spi, row->origin);
	kms_spi_text(&spi, kms_key_row_state_name(row->state));
	kms_spi_text(&spi, row->has_state_reason ? row->state_reason : NULL);
	kms_spi_time(&spi, row->created_at);
	kms_spi_time(&spi, row->expires_at);
	kms_spi_time(&spi, row->state_changed_at);
	kms_spi_int64(&spi, row->row_version);
	kms_spi_bytes(&spi, row->seal, KMS_SEAL_SIZE);
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.key (key_id, device_id, app_version, algorithm,"
				" oaep_hash, origin, state, state_reason, created_at, expires_at,"
				" state_changed_at, row_version, seal) VALUES"
				" ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
				" ON CONFLICT (key_id) DO NOTHING",
				SPI_OK_INSERT);
	done = spi.processed > 0;
	kms_spi_end(&spi);
	if (!done)
		return false;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->key_id);
	kms_spi_bytes(&spi, secret->public_key, secret->public_len);
	kms_spi_bytes(&spi, secret->wrapped_key, secret->wrapped_len);
	kms_spi_run(&spi, &secret_plan,
				"INSERT INTO kms.key_secret (key_id, public_key, wrapped_key)"
				" VALUES ($1, $2, $3)",
				SPI_OK_INSERT);
	kms_spi_end(&spi);
	return true;
}

bool
kms_key_table_update(const KmsKeyRow *row, int64 version)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		done;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->key_id);
	kms_spi_int64(&spi, version);
	kms_spi_text(&spi, kms_key_row_state_name(row->state));
	kms_spi_text(&spi, row->prior_state == KMS_STATE_NONE ? NULL
				 : kms_key_row_state_name(row->prior_state));
	kms_spi_text(&spi, row->has_state_reason ? row->state_reason : NULL);
	kms_spi_time(&spi, row->state_changed_at);
	if (row->has_delete_at)
		kms_spi_time(&spi, row->delete_at);
	else
		kms_spi_null(&spi, TIMESTAMPTZOID);
	if (row->sealed)
		kms_spi_bytes(&spi, row->seal, KMS_SEAL_SIZE);
	else
		kms_spi_null(&spi, BYTEAOID);
	kms_spi_int64(&spi, row->row_version);
	kms_spi_run(&spi, &plan,
				"UPDATE kms.key SET state = $3, prior_state = $4,"
				" state_reason = $5, state_changed_at = $6, delete_at = $7,"
				" tried_at = NULL, seal = $8, row_version = $9"
				" WHERE key_id OPERATOR(pg_catalog.=) $1"
				" AND row_version OPERATOR(pg_catalog.=) $2",
				SPI_OK_UPDATE);
	done = spi.processed > 0;
	kms_spi_end(&spi);
	if (!done && IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent change of an encryption key"),
				 errhint("Run the transaction again."),
				 KMS_HIDE_STATEMENT));
	return done;
}

bool
kms_key_table_delete(const KmsKeyRow *row)
{
	static SPIPlanPtr plan = NULL;
	static SPIPlanPtr secret_plan = NULL;
	KmsSpi		spi;
	bool		done;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->key_id);
	kms_spi_int64(&spi, row->row_version);
	kms_spi_run(&spi, &plan,
				"DELETE FROM kms.key WHERE key_id OPERATOR(pg_catalog.=) $1"
				" AND row_version OPERATOR(pg_catalog.=) $2",
				SPI_OK_DELETE);
	done = spi.processed > 0;
	kms_spi_end(&spi);
	if (!done)
		return false;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->key_id);
	kms_spi_run(&spi, &secret_plan,
				"DELETE FROM kms.key_secret"
				" WHERE key_id OPERATOR(pg_catalog.=) $1",
				SPI_OK_DELETE);
	kms_spi_end(&spi);
	if (kms_denial_table_any())
		kms_denial_table_forget(row->key_id);
	return true;
}

bool
kms_key_table_lock_row(const char *key_id, KmsKeyLock how)
{
	static SPIPlanPtr plans[3];
	static const char *const queries[] = {
		[KMS_LOCK_TO_CHANGE] = LOCK_ROW "NO KEY UPDATE",
		[KMS_TRY_LOCK_TO_CHANGE] = LOCK_ROW "NO KEY UPDATE SKIP LOCKED",
		[KMS_TRY_LOCK_TO_DELETE] = LOCK_ROW "UPDATE SKIP LOCKED"
	};
	ErrorContextCallback callback;
	KmsSpi		spi;
	bool		locked;

	callback.previous = error_context_stack;
	if (how == KMS_LOCK_TO_CHANGE)
	{
		char	   *holder;

		if (kms_key_table_lock_row(key_id, KMS_TRY_LOCK_TO_CHANGE))
			return true;
		holder = row_holder(key_id);
		if (holder != NULL)
			ereport(NOTICE,
					(errmsg("encryption key \"%s\" is held by prepared transaction \"%s\"",
							key_id, holder),
					 errhint(WAITS_FOR_PREPARED),
					 KMS_HIDE_STATEMENT));
		hint_while_waiting(&callback);
	}
	kms_spi_begin(&spi);
	kms_spi_text(&spi, key_id);
	kms_spi_run(&spi, &plans[how], queries[how], SPI_OK_SELECT);
	locked = spi.processed > 0;
	kms_spi_end(&spi);
	error_context_stack = callback.previous;
	return locked;
}

/* The prepared transaction that has locked or changed the row; NULL: none. */
static char *
row_holder(const char *key_id)
{
	Relation	rel = table_open(kms_catalog()->key, AccessShareLock);
	char	   *holder = NULL;
	ScanKeyData scan_key;
	SysScanDesc scan;
	HeapTuple	tuple;
	TransactionId xmax;
	uint16		infomask;

	kms_scan_text(&scan_key, KEY_ID, key_id);
	scan = systable_beginscan(rel, kms_catalog()->key_pkey, true, NULL, 1,
							  &scan_key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Buffer		buffer = ((BufferHeapTupleTableSlot *) scan->slot)->buffer;

		/* others set both while they hold the lock of the page */
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		xmax = HeapTupleHeaderGetRawXmax(tuple->t_data);
		infomask = tuple->t_data->t_infomask;
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		holder = prepared_among(xmax, infomask);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return holder;
}

static char *
prepared_among(TransactionId xmax, uint16 infomask)
{
	MultiXactMember *members;
	char	   *holder = NULL;
	int			count;

	if (infomask & HEAP_XMAX_INVALID)
		return NULL;
	if (!(infomask & HEAP_XMAX_IS_MULTI))
		return prepared_name(xmax);
	count = GetMultiXactIdMembers(xmax, &members, false,
								  HEAP_XMAX_IS_LOCKED_ONLY(infomask));
	while (holder == NULL && --count >= 0)
		holder = prepared_name(members[count].xid);
	return holder;
}

/* A row can have the id of a subtransaction. */
static char *
prepared_name(TransactionId xid)
{
	if (!TransactionIdIsNormal(xid) || !TransactionIdIsInProgress(xid))
		return NULL;
	return kms_prepared_name(SubTransGetTopmostTransaction(xid));
}

bool
kms_key_table_try_lock(void)
{
	return ConditionalLockRelationOid(kms_catalog()->key, RowExclusiveLock);
}

static void
deform(HeapTuple tuple, TupleDesc desc, Datum *values, bool *nulls)
{
	if (desc->natts > COLUMNS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a table of kms has more columns than this library knows"),
				 errhint("Install the library of the extension's version and restart the server."),
				 KMS_HIDE_STATEMENT));
	heap_deform_tuple(tuple, desc, values, nulls);
}

static void
read_row(HeapTuple tuple, TupleDesc desc, KmsKeyRow *row)
{
	Datum		values[COLUMNS_MAX];
	bool		nulls[COLUMNS_MAX];
	char		state[32];

	memset(row, 0, sizeof(*row));
	deform(tuple, desc, values, nulls);

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

/* A text that does not fit makes the row malformed: it is none of ours. */
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
