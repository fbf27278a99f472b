#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "store/wrapped.h"

#include "pg/catalog.h"
#include "pg/compat.h"
#include "store/scan.h"
#include "store/spi.h"

/* columns, in the order of the script */
enum
{
	SECRET_ID = 1, SECRET_PUBLIC_KEY, SECRET_WRAPPED_KEY, SECRET_MASTER_KEY_ID
};

enum
{
	FIELD_NAME = 1, FIELD_VERSION, FIELD_MASTER_KEY_ID = 13
};

/* A scan of the index that finds uncommitted rows, too. */
typedef struct WrappedScan
{
	Relation	rel;
	Relation	index;
	SnapshotData dirty;
	SysScanDesc scan;
} WrappedScan;

static void begin_scan(WrappedScan *scan, KmsWrappedTable table,
					   LOCKMODE mode, StrategyNumber strategy,
					   RegProcedure compare, bytea *id);
static AttrNumber id_column(KmsWrappedTable table);
static char *name_row(const WrappedScan *scan, KmsWrappedTable table,
					  HeapTuple tuple);
static void end_scan(WrappedScan *scan);
static bytea *first_id(KmsWrappedTable table, StrategyNumber strategy,
					   RegProcedure compare, bytea *id);
static bytea *as_bytea(const unsigned char *master_key_id);

List *
kms_wrapped_ids(KmsWrappedTable table)
{
	bytea	   *id = (bytea *) palloc0(VARHDRSZ);
	List	   *ids = NIL;

	SET_VARSIZE(id, VARHDRSZ);
	id = first_id(table, BTGreaterEqualStrategyNumber, F_BYTEAGE, id);
	while (id != NULL)
	{
		unsigned char *bytes = palloc0(KMS_MASTER_KEY_ID_SIZE);

		if (VARSIZE_ANY_EXHDR(id) == KMS_MASTER_KEY_ID_SIZE)
			memcpy(bytes, VARDATA_ANY(id), KMS_MASTER_KEY_ID_SIZE);
		ids = lappend(ids, bytes);
		id = first_id(table, BTGreaterStrategyNumber, F_BYTEAGT, id);
	}
	return ids;
}

int64
kms_wrapped_count(KmsWrappedTable table, const unsigned char *master_key_id)
{
	static SPIPlanPtr plans[KMS_WRAPPED_TABLES];
	static const char *const queries[] = {
		"SELECT pg_catalog.count(*) FROM kms.key_secret"
		" WHERE master_key_id = $1",
		"SELECT pg_catalog.count(*) FROM kms.field_key"
		" WHERE master_key_id = $1"
	};
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_bytes(&spi, master_key_id, KMS_MASTER_KEY_ID_SIZE);
	kms_spi_run(&spi, &plans[table], queries[table], SPI_OK_SELECT);
	return kms_spi_end_with_int64(&spi, 0);
}

void
kms_wrapped_visit(KmsWrappedTable table, const unsigned char *master_key_id,
				  KmsWrappedVisitor visit, void *arg)
{
	WrappedScan scan;
	HeapTuple	tuple;
	bool		on = true;

	begin_scan(&scan, table, RowExclusiveLock, BTEqualStrategyNumber, F_BYTEAEQ,
			   as_bytea(master_key_id));
	while (on && HeapTupleIsValid(tuple =
								  systable_getnext_ordered(scan.scan,
														   ForwardScanDirection)))
	{
		TransactionId writer = TransactionIdIsValid(scan.dirty.xmin)
		? scan.dirty.xmin : scan.dirty.xmax;
		char	   *key_id = name_row(&scan, table, tuple);

		CHECK_FOR_INTERRUPTS();
		on = visit(key_id, writer, arg);
		pfree(key_id);
	}
	end_scan(&scan);
}

bool
kms_wrapped_are_replicated(void)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		replicated;

	kms_spi_begin(&spi);
	kms_spi_run(&spi, &plan,
				"SELECT 1 FROM pg_catalog.pg_subscription_rel"
				" WHERE srrelid = 'kms.key_secret'::pg_catalog.regclass::pg_catalog.oid",
				SPI_OK_SELECT);
	replicated = spi.processed > 0;
	kms_spi_end(&spi);
	return replicated;
}

void
kms_wrapped_replace(const KmsKeyRow *row, const KmsKeySecret *secret)
{
	static SPIPlanPtr plan = NULL;
	static SPIPlanPtr secret_plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->key_id);
	kms_spi_bytes(&spi, row->seal, KMS_SEAL_SIZE);
	kms_spi_run(&spi, &plan,
				"UPDATE kms.key SET seal = $2"
				" WHERE key_id = $1",
				SPI_OK_UPDATE);
	kms_spi_end(&spi);

	kms_spi_begin(&spi);
	kms_spi_text(&spi, row->key_id);
	kms_spi_bytes(&spi, secret->wrapped_key, secret->wrapped_len);
	kms_spi_run(&spi, &secret_plan,
				"UPDATE kms.key_secret SET wrapped_key = $2"
				" WHERE key_id = $1",
				SPI_OK_UPDATE);
	kms_spi_end(&spi);
}

/*
 * "mode" is the lock on the table of keys that the caller needs.  That on
 * kms.key is taken before the one on kms.key_secret.
 */
static void
begin_scan(WrappedScan *scan, KmsWrappedTable table, LOCKMODE mode,
		   StrategyNumber strategy, RegProcedure compare, bytea *id)
{
	const KmsCatalog *catalog = kms_catalog();
	bool		is_field = table == KMS_WRAPPED_FIELDS;
	ScanKeyData key;

	ScanKeyInit(&key, id_column(table), strategy, compare,
				PointerGetDatum(id));
	LockRelationOid(is_field ? catalog->field_key : catalog->key, mode);
	scan->rel = table_open(is_field ? catalog->field_key
						   : catalog->key_secret, AccessShareLock);
	scan->index = index_open(is_field ? catalog->field_key_master_key_idx
							 : catalog->key_secret_master_key_idx,
							 AccessShareLock);
	InitDirtySnapshot(scan->dirty);
	scan->scan = systable_beginscan_ordered(scan->rel, scan->index,
											&scan->dirty, 1, &key);
}

static AttrNumber
id_column(KmsWrappedTable table)
{
	return table == KMS_WRAPPED_FIELDS ? FIELD_MASTER_KEY_ID
		: SECRET_MASTER_KEY_ID;
}

/* Return the id of a row, palloc'd. */
static char *
name_row(const WrappedScan *scan, KmsWrappedTable table, HeapTuple tuple)
{
	TupleDesc	desc = RelationGetDescr(scan->rel);
	bool		isnull;

	if (table == KMS_WRAPPED_KEYS)
		return TextDatumGetCString(heap_getattr(tuple, SECRET_ID, desc, &isnull));
	return psprintf("%s/%d",
					TextDatumGetCString(heap_getattr(tuple, FIELD_NAME, desc, &isnull)),
					DatumGetInt32(heap_getattr(tuple, FIELD_VERSION, desc, &isnull)));
}

static void
end_scan(WrappedScan *scan)
{
	systable_endscan_ordered(scan->scan);
	index_close(scan->index, AccessShareLock);
	table_close(scan->rel, AccessShareLock);
}

/* Return the id of the first row from there on, or NULL. */
static bytea *
first_id(KmsWrappedTable table, StrategyNumber strategy, RegProcedure compare,
		 bytea *id)
{
	WrappedScan scan;
	HeapTuple	tuple;
	bytea	   *found = NULL;

	begin_scan(&scan, table, AccessShareLock, strategy, compare, id);
	tuple = systable_getnext_ordered(scan.scan, ForwardScanDirection);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, id_column(table),
										 RelationGetDescr(scan.rel), &isnull);

		if (!isnull)			/* nulls are last in the index */
			found = DatumGetByteaPCopy(value);
	}
	end_scan(&scan);
	return found;
}

static bytea *
as_bytea(const unsigned char *master_key_id)
{
	bytea	   *id = palloc(VARHDRSZ + KMS_MASTER_KEY_ID_SIZE);

	SET_VARSIZE(id, VARHDRSZ + KMS_MASTER_KEY_ID_SIZE);
	memcpy(VARDATA(id), master_key_id, KMS_MASTER_KEY_ID_SIZE);
	return id;
}
