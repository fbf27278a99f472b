#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "store/denial_table.h"

#include "pg/catalog.h"
#include "pg/fault.h"
#include "store/scan.h"
#include "store/spi.h"

/* columns of kms.denial, in the order of the script */
enum
{
	DENIAL_ID = 1, DENIAL_KEY_ID, DENIAL_STATE, DENIAL_REASON,
	DENIAL_DENIED_AT, DENIAL_DELETE_AT
};

static void add(KmsDenial *denial, HeapTuple tuple, TupleDesc desc);
static KmsKeyState state_by_name(const char *name);

bool
kms_denial_table_any(void)
{
	Relation	rel = table_open(kms_catalog()->denial, AccessShareLock);
	bool		any = RelationGetNumberOfBlocks(rel) > 0;

	table_close(rel, AccessShareLock);
	return any;
}

bool
kms_denial_table_read(const char *key_id, Snapshot snapshot, KmsDenial *denial)
{
	const KmsCatalog *catalog = kms_catalog();
	Relation	rel = table_open(catalog->denial, AccessShareLock);
	ScanKeyData scan_key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		stale = false;

	memset(denial, 0, sizeof(*denial));
	kms_scan_text(&scan_key, DENIAL_KEY_ID, key_id);
	scan = systable_beginscan(rel, catalog->denial_key_idx, true, snapshot, 1,
							  &scan_key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		add(denial, tuple, RelationGetDescr(rel));
		stale = stale || kms_key_origin(tuple) == KMS_ROW_STALE;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return stale;
}

/*
 * Logical replication copies rows, but not the sequence that numbered them.
 * So skip numbers that are taken.
 */
void
kms_denial_table_insert(const char *key_id, KmsKeyState state, const char *reason,
						TimestampTz delete_at)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		done;

	do
	{
		kms_spi_begin(&spi);
		kms_spi_text(&spi, key_id);
		kms_spi_text(&spi, kms_key_state_name(state));
		kms_spi_text(&spi, reason);
		kms_spi_time(&spi, GetCurrentTimestamp());
		if (delete_at != 0)
			kms_spi_time(&spi, delete_at);
		else
			kms_spi_null(&spi, TIMESTAMPTZOID);
		kms_spi_run(&spi, &plan,
					"INSERT INTO kms.denial (key_id, state, reason, denied_at,"
					" delete_at) VALUES ($1, $2, $3, $4, $5)"
					" ON CONFLICT (denial_id) DO NOTHING",
					SPI_OK_INSERT);
		done = spi.processed > 0;
		kms_spi_end(&spi);
	} while (!done);
}

void
kms_denial_table_delete(const KmsDenial *denial)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	int			i;

	for (i = 0; i < denial->count; i++)
	{
		bool		done;

		kms_spi_begin(&spi);
		kms_spi_int64(&spi, denial->ids[i]);
		kms_spi_run(&spi, &plan,
					"DELETE FROM kms.denial"
					" WHERE denial_id = $1",
					SPI_OK_DELETE);
		done = spi.processed > 0;
		kms_spi_end(&spi);
		if (!done)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("could not serialize access due to concurrent change of an encryption key"),
					 errhint("Run the transaction again."),
					 KMS_HIDE_STATEMENT));
	}
}

void
kms_denial_table_forget(const char *key_id)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, key_id);
	kms_spi_run(&spi, &plan,
				"DELETE FROM kms.denial"
				" WHERE key_id = $1",
				SPI_OK_DELETE);
	kms_spi_end(&spi);
}

/* A restore that has not inserted the key within a week will not do so. */
int64
kms_denial_table_trim(TimestampTz now, int limit)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	int64		done;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_int64(&spi, limit);
	kms_spi_time(&spi, now - 7 * USECS_PER_DAY);
	kms_spi_run(&spi, &plan,
				"DELETE FROM kms.denial WHERE denial_id"
				" = ANY (ARRAY("
				"  SELECT d.denial_id FROM kms.denial AS d"
				"  WHERE d.denied_at < $2"
				"  AND NOT EXISTS (SELECT 1 FROM kms.key AS k"
				"   WHERE k.key_id = d.key_id) LIMIT $1))",
				SPI_OK_DELETE);
	done = spi.processed;
	kms_spi_end(&spi);
	return done;
}

List *
kms_denial_table_sweep(int limit)
{
	static SPIPlanPtr plan = NULL;
	List	   *ids;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"SELECT k.key_id FROM kms.key AS k WHERE k.key_id"
				" = ANY (ARRAY("
				"  SELECT d.key_id FROM kms.denial AS d))"
				" ORDER BY k.tried_at NULLS FIRST, k.key_id LIMIT $1",
				SPI_OK_SELECT);
	ids = kms_spi_texts(&spi);
	kms_spi_end(&spi);
	return ids;
}

static void
add(KmsDenial *denial, HeapTuple tuple, TupleDesc desc)
{
	KmsKeyState state;
	TimestampTz denied_at;
	TimestampTz delete_at;
	int64		id;
	Datum		value;
	bool		isnull;

	id = DatumGetInt64(heap_getattr(tuple, DENIAL_ID, desc, &isnull));
	if (denial->count < KMS_DENIALS_MAX)
		denial->ids[denial->count++] = id;

	value = heap_getattr(tuple, DENIAL_STATE, desc, &isnull);
	state = state_by_name(TextDatumGetCString(value));
	if (denial->state == KMS_STATE_NONE ||
		(state != KMS_STATE_DISABLED &&
		 (denial->state == KMS_STATE_DISABLED || id > denial->state_from)))
	{
		denial->state = state;
		denial->state_from = id;
	}

	value = heap_getattr(tuple, DENIAL_DENIED_AT, desc, &isnull);
	denied_at = DatumGetTimestampTz(value);
	denial->denied_at = Max(denial->denied_at, denied_at);

	if (state == KMS_STATE_REVOKED &&
		(!denial->revoked || id < denial->revoked_by))
	{
		denial->revoked = true;
		denial->revoked_by = id;
		value = heap_getattr(tuple, DENIAL_REASON, desc, &isnull);
		if (!isnull)
			text_to_cstring_buffer(DatumGetTextPP(value), denial->reason,
								   sizeof(denial->reason));
	}

	value = heap_getattr(tuple, DENIAL_DELETE_AT, desc, &isnull);
	delete_at = isnull ? 0 : DatumGetTimestampTz(value);
	if (delete_at != 0 &&
		(denial->delete_at == 0 || delete_at < denial->delete_at))
		denial->delete_at = delete_at;
}

/* Any other state denies the use of the key, too. */
static KmsKeyState
state_by_name(const char *name)
{
	if (strcmp(name, kms_key_state_name(KMS_STATE_PENDING_DELETION)) == 0)
		return KMS_STATE_PENDING_DELETION;
	if (strcmp(name, kms_key_state_name(KMS_STATE_REVOKED)) == 0)
		return KMS_STATE_REVOKED;
	return KMS_STATE_DISABLED;
}
