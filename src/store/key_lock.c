#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/subtrans.h"
#include "access/table.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/rel.h"

#include "store/key_lock.h"

#include "pg/catalog.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/lock.h"
#include "store/key.h"
#include "store/link.h"
#include "store/prepared.h"
#include "store/scan.h"
#include "store/spi.h"

#define LOCK_ROW \
	"SELECT 1 FROM kms.key WHERE key_id = $1 FOR "

#define WAITS_FOR_PREPARED \
	"The call waits until COMMIT PREPARED or ROLLBACK PREPARED ends it."

static void wait_for_device(const LOCKTAG *tag);
static void hint_while_waiting(ErrorContextCallback *callback);
static void add_hint(void *arg);
static char *row_holder(const char *key_id);
static char *prepared_among(TransactionId xmax, uint16 infomask);
static char *prepared_name(TransactionId xid);

void
kms_key_lock_device(const char *device_id)
{
	LOCKTAG		tag;

	kms_lock_device(&tag, device_id);
	if (!kms_lock_try(&tag))
		wait_for_device(&tag);
}

bool
kms_key_lock_try_device(const char *device_id)
{
	LOCKTAG		tag;

	kms_lock_device(&tag, device_id);
	return kms_lock_try(&tag);
}

/*
 * Wait for the lock.  If a prepared transaction holds it, tell the caller,
 * because that transaction may have been forgotten and may never end.
 */
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
	kms_lock_wait(tag);
	error_context_stack = callback.previous;
}

/* Add a hint to errors, until the caller restores error_context_stack. */
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
kms_key_lock_release_device(const char *device_id)
{
	LOCKTAG		tag;

	kms_lock_device(&tag, device_id);
	kms_lock_release(&tag);
}

bool
kms_key_lock_row(const char *key_id, KmsKeyLock how)
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

		if (kms_key_lock_row(key_id, KMS_TRY_LOCK_TO_CHANGE))
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

/*
 * Return the name of the prepared transaction that has locked or changed the
 * row; NULL if there is none.
 */
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

	kms_scan_text(&scan_key, KMS_KEY_COLUMN_ID, key_id);
	scan = systable_beginscan(rel, kms_catalog()->key_pkey, true, NULL, 1,
							  &scan_key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Buffer		buffer = ((BufferHeapTupleTableSlot *) scan->slot)->buffer;

		/* others set both while they hold the buffer lock */
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

/* The id in a row may be that of a subtransaction. */
static char *
prepared_name(TransactionId xid)
{
	if (!TransactionIdIsNormal(xid) || !TransactionIdIsInProgress(xid))
		return NULL;
	return kms_prepared_name(SubTransGetTopmostTransaction(xid));
}

bool
kms_key_lock_try_table(void)
{
	return ConditionalLockRelationOid(kms_catalog()->key, RowExclusiveLock);
}

bool
kms_key_lock_try_tables(void)
{
	const KmsCatalog *catalog = kms_catalog();
	Oid			tables[] = {catalog->key, catalog->key_secret, catalog->pool_key,
	kms_link_relation("event_outbox")};
	int			i;

	for (i = 0; i < (int) lengthof(tables); i++)
	{
		if (!ConditionalLockRelationOid(tables[i], RowExclusiveLock))
			return false;
	}
	return true;
}
