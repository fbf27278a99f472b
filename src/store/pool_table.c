/*
 * Rows are read and deleted through the table's own interface, not through
 * SQL.  If another transaction has taken a row since this transaction's
 * snapshot, the row is skipped; a DELETE under REPEATABLE READ would fail.
 * Rows are read as they are now, including uncommitted changes, for two
 * reasons: this shows which rows are being taken, and SERIALIZABLE takes no
 * note of rows that are read without its snapshot.  Otherwise transactions
 * that take different rows would conflict.
 *
 * A transaction that takes a row is about to change kms.key, and so is
 * kms_maintain().  They lock that table first, as DROP EXTENSION does.
 *
 * The newest rows come first.  A row that was taken stays in the table until
 * it is vacuumed.  As long as the pool is not empty, such rows are newer than
 * the rest, but older than all rows that are added later.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "store/pool_table.h"

#include "pg/catalog.h"
#include "pg/compat.h"
#include "pg/lock.h"
#include "store/scan.h"
#include "store/spi.h"

/* columns, in the order of the script */
enum
{
	POOL_ID = 1, POOL_HOME, POOL_ALGORITHM, POOL_CREATED_AT,
	POOL_PUBLIC_KEY, POOL_WRAPPED_KEY
};

/* A scan of the pool, newest first. */
typedef struct PoolScan
{
	Relation	rel;
	Relation	index;
	SnapshotData dirty;
	SysScanDesc scan;
} PoolScan;

static void begin_scan(PoolScan *scan, LOCKMODE mode);
static bool next_row(PoolScan *scan, KmsPoolKey *key, ItemPointer tid);
static void end_scan(PoolScan *scan);
static void read_row(HeapTuple tuple, TupleDesc desc, KmsPoolKey *key);
static void read_text(HeapTuple tuple, int column, TupleDesc desc, char *out,
					  size_t size);
static bool delete_row(PoolScan *scan, ItemPointer tid);

bool
kms_pool_table_lock(bool wait)
{
	return kms_lock_making(kms_catalog()->pool_key, wait);
}

bool
kms_pool_table_pick(KmsPoolTest fits, void *arg, KmsPoolKey *key)
{
	PoolScan	scan;
	ItemPointerData tid;
	bool		picked = false;

	LockRelationOid(kms_catalog()->key, RowExclusiveLock);
	begin_scan(&scan, RowExclusiveLock);
	while (!picked && next_row(&scan, key, &tid))
		picked = fits(key, arg) && delete_row(&scan, &tid);
	end_scan(&scan);
	return picked;
}

bool
kms_pool_table_has(KmsPoolTest fits, void *arg)
{
	KmsPoolKey *key = palloc(sizeof(KmsPoolKey));
	PoolScan	scan;
	ItemPointerData tid;
	bool		found = false;

	begin_scan(&scan, AccessShareLock);
	while (!found && next_row(&scan, key, &tid))
		found = fits(key, arg);
	end_scan(&scan);
	pfree(key);
	return found;
}

int
kms_pool_table_tidy(KmsPoolTest fits, void *arg, int most)
{
	KmsPoolKey *key = palloc(sizeof(KmsPoolKey));
	PoolScan	scan;
	ItemPointerData tid;
	int			count = 0;

	begin_scan(&scan, RowExclusiveLock);
	while (next_row(&scan, key, &tid))
	{
		if (count < most && fits(key, arg))
			count++;
		else
			(void) delete_row(&scan, &tid);
	}
	end_scan(&scan);
	pfree(key);
	return count;
}

int64
kms_pool_table_count(void)
{
	KmsPoolKey *key = palloc(sizeof(KmsPoolKey));
	PoolScan	scan;
	ItemPointerData tid;
	int64		count = 0;

	begin_scan(&scan, AccessShareLock);
	while (next_row(&scan, key, &tid))
		count++;
	end_scan(&scan);
	pfree(key);
	return count;
}

void
kms_pool_table_insert(const KmsPoolKey *key)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, key->id);
	kms_spi_text(&spi, key->home);
	kms_spi_text(&spi, key->algorithm);
	kms_spi_time(&spi, key->created_at);
	kms_spi_bytes(&spi, key->secret.public_key, key->secret.public_len);
	kms_spi_bytes(&spi, key->secret.wrapped_key, key->secret.wrapped_len);
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.pool_key (pool_key_id, home, algorithm,"
				" created_at, public_key, wrapped_key)"
				" VALUES ($1, $2, $3, $4, $5, $6)",
				SPI_OK_INSERT);
	kms_spi_end(&spi);
}

void
kms_pool_table_home(char home[KMS_POOL_HOME_SIZE])
{
	snprintf(home, KMS_POOL_HOME_SIZE, UINT64_FORMAT "/%u/%u",
			 GetSystemIdentifier(), GetWALInsertionTimeLine(), MyDatabaseId);
}

static void
begin_scan(PoolScan *scan, LOCKMODE mode)
{
	const KmsCatalog *catalog = kms_catalog();

	scan->rel = table_open(catalog->pool_key, mode);
	scan->index = index_open(catalog->pool_key_pkey, AccessShareLock);
	InitDirtySnapshot(scan->dirty);
	scan->scan = systable_beginscan_ordered(scan->rel, scan->index,
											&scan->dirty, 0, NULL);
}

static bool
next_row(PoolScan *scan, KmsPoolKey *key, ItemPointer tid)
{
	HeapTuple	tuple;

	/*
	 * The snapshot names a transaction that is inserting or deleting the row.
	 */
	do
	{
		CHECK_FOR_INTERRUPTS();
		tuple = systable_getnext_ordered(scan->scan, BackwardScanDirection);
		if (!HeapTupleIsValid(tuple))
			return false;
	} while (TransactionIdIsValid(scan->dirty.xmin) ||
			 TransactionIdIsValid(scan->dirty.xmax));
	*tid = tuple->t_self;
	read_row(tuple, RelationGetDescr(scan->rel), key);
	return true;
}

/* Keep the lock on the table, because rows were or may be deleted. */
static void
end_scan(PoolScan *scan)
{
	systable_endscan_ordered(scan->scan);
	index_close(scan->index, AccessShareLock);
	table_close(scan->rel, NoLock);
}

static void
read_row(HeapTuple tuple, TupleDesc desc, KmsPoolKey *key)
{
	KmsKeySecret *secret = &key->secret;
	Datum		value;
	bool		isnull;

	read_text(tuple, POOL_ID, desc, key->id, sizeof(key->id));
	read_text(tuple, POOL_HOME, desc, key->home, sizeof(key->home));
	read_text(tuple, POOL_ALGORITHM, desc, key->algorithm,
			  sizeof(key->algorithm));
	value = heap_getattr(tuple, POOL_CREATED_AT, desc, &isnull);
	key->created_at = isnull ? 0 : DatumGetTimestampTz(value);
	value = heap_getattr(tuple, POOL_PUBLIC_KEY, desc, &isnull);
	secret->public_len = kms_scan_bytes(value, isnull, secret->public_key,
										sizeof(secret->public_key));
	value = heap_getattr(tuple, POOL_WRAPPED_KEY, desc, &isnull);
	secret->wrapped_len = kms_scan_bytes(value, isnull, secret->wrapped_key,
										 sizeof(secret->wrapped_key));
}

static void
read_text(HeapTuple tuple, int column, TupleDesc desc, char *out, size_t size)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	out[0] = '\0';
	if (!isnull && VARSIZE_ANY_EXHDR(DatumGetTextPP(value)) < size)
		text_to_cstring_buffer(DatumGetTextPP(value), out, size);
}

/*
 * Return false if another transaction is deleting the row or has deleted it.
 */
static bool
delete_row(PoolScan *scan, ItemPointer tid)
{
	TM_FailureData failure;

	return table_tuple_delete(scan->rel, tid, GetCurrentCommandId(true),
							  &scan->dirty, InvalidSnapshot, false,
							  &failure, false) == TM_Ok;
}
