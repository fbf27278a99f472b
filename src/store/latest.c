#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "store/latest.h"

#include "pg/compat.h"
#include "store/link.h"
#include "store/scan.h"

/* Columns of kms.event_epoch, from 1. */
enum
{
	EPOCH_EPOCH = 1, EPOCH_STARTED_AT, EPOCH_POSITION, EPOCH_LAST_TICKET,
	EPOCH_HASH
};

static bool has_row(const char *table, const char *index, int hash_column,
					int64 ticket, const unsigned char *hash, int64 epoch);
static bool has_row_behind(const char *table, const char *index, int64 ticket);
static int64 last_of_run(const char *table, const char *index, int64 ticket,
						 int64 free);
static bool next_checkpoint(SysScanDesc scan, Relation rel,
							KmsCheckpoint *checkpoint, bool ordered);

bool
kms_latest_end(int64 *ticket, unsigned char *hash, int64 *epoch)
{
	Relation	rel = table_open(kms_link_relation("event_epoch"),
								 AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0,
										  NULL);
	HeapTuple	tuple;
	int64		newest = 0;
	bool		found = false;

	*ticket = 0;
	*epoch = 0;
	memset(hash, 0, KMS_CHAIN_SIZE);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		int64		last = DatumGetInt64(heap_getattr(tuple, EPOCH_LAST_TICKET,
													  desc, &isnull));
		int64		started = DatumGetInt64(heap_getattr(tuple, EPOCH_STARTED_AT,
														 desc, &isnull));
		Datum		value;

		if (last < 0 || last >= KMS_TICKET_LIMIT)
			continue;
		if (found && (last < *ticket || (last == *ticket && started < newest)))
			continue;
		found = true;
		newest = started;
		*ticket = last;
		*epoch = DatumGetInt64(heap_getattr(tuple, EPOCH_EPOCH, desc,
											&isnull));
		value = heap_getattr(tuple, EPOCH_HASH, desc, &isnull);
		memset(hash, 0, KMS_CHAIN_SIZE);
		if (kms_scan_bytes(value, isnull, hash, KMS_CHAIN_SIZE) != KMS_CHAIN_SIZE)
			memset(hash, 0, KMS_CHAIN_SIZE);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

bool
kms_latest_row(int64 ticket, const unsigned char *hash, int64 epoch)
{
	return has_row("event", "event_pkey", KMS_EVENT_HASH, ticket, hash,
				   epoch) ||
		has_row("event_quarantine", "event_quarantine_pkey", KMS_ASIDE_HASH,
				ticket, hash, epoch);
}

/* Both begin with epoch and ticket. */
static bool
has_row(const char *table, const char *index, int hash_column, int64 ticket,
		const unsigned char *hash, int64 epoch)
{
	Relation	rel = table_open(kms_link_relation(table), AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, KMS_EVENT_TICKET + 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(ticket));
	scan = systable_beginscan(rel, kms_link_relation(index), true, NULL, 1,
							  &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		unsigned char stored[KMS_CHAIN_SIZE];
		bool		isnull;
		Datum		of = heap_getattr(tuple, KMS_EVENT_EPOCH + 1, desc, &isnull);
		Datum		value = heap_getattr(tuple, hash_column + 1, desc, &isnull);

		found = kms_link_read_hash(value, isnull, stored) &&
			memcmp(stored, hash, KMS_CHAIN_SIZE) == 0 &&
			(epoch == 0 || DatumGetInt64(of) == epoch);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

bool
kms_latest_row_behind(int64 ticket)
{
	return has_row_behind("event", "event_pkey", ticket) ||
		has_row_behind("event_quarantine", "event_quarantine_pkey", ticket);
}

static bool
has_row_behind(const char *table, const char *index, int64 ticket)
{
	Relation	rel = table_open(kms_link_relation(table), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	ScanKeyInit(&key, KMS_EVENT_TICKET + 1, BTGreaterStrategyNumber, F_INT8GT,
				Int64GetDatum(ticket));
	scan = systable_beginscan(rel, kms_link_relation(index), true, NULL, 1,
							  &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

int64
kms_latest_run(int64 ticket, int64 free)
{
	int64		before;

	do
	{
		before = ticket;
		ticket = last_of_run("event", "event_pkey", ticket, free);
		ticket = last_of_run("event_quarantine", "event_quarantine_pkey",
							 ticket, free);
	} while (ticket != before);
	return ticket;
}

static int64
last_of_run(const char *table, const char *index, int64 ticket, int64 free)
{
	Relation	rel = table_open(kms_link_relation(table), AccessShareLock);
	Relation	tickets = index_open(kms_link_relation(index), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, KMS_EVENT_TICKET + 1, BTGreaterStrategyNumber, F_INT8GT,
				Int64GetDatum(ticket));
	scan = systable_beginscan_ordered(rel, tickets, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan,
															 ForwardScanDirection)))
	{
		bool		isnull;
		int64		next = DatumGetInt64(heap_getattr(tuple,
													  KMS_EVENT_TICKET + 1,
													  RelationGetDescr(rel),
													  &isnull));

		CHECK_FOR_INTERRUPTS();
		if (next - ticket > free)
			break;
		ticket = next;
	}
	systable_endscan_ordered(scan);
	index_close(tickets, AccessShareLock);
	table_close(rel, AccessShareLock);
	return ticket;
}

bool
kms_latest_signature(int64 ticket, const unsigned char *hash)
{
	Relation	rel = table_open(kms_link_relation("event_checkpoint"),
								 AccessShareLock);
	KmsCheckpoint checkpoint;
	ScanKeyData key;
	SysScanDesc scan;
	bool		found = false;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(ticket));
	scan = systable_beginscan(rel, kms_link_relation("event_checkpoint_pkey"),
							  true, NULL, 1, &key);
	while (!found && next_checkpoint(scan, rel, &checkpoint, false))
		found = checkpoint.kind != KMS_CHECKPOINT_START &&
			memcmp(checkpoint.hash, hash, KMS_CHAIN_SIZE) == 0;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/* A start has the lowest ticket of all. */
bool
kms_latest_start(KmsCheckpoint *start)
{
	Relation	rel = table_open(kms_link_relation("event_checkpoint"),
								 AccessShareLock);
	Relation	index = index_open(kms_link_relation("event_checkpoint_pkey"),
								   AccessShareLock);
	SysScanDesc scan = systable_beginscan_ordered(rel, index, NULL, 0, NULL);
	bool		found = false;

	while (!found && next_checkpoint(scan, rel, start, true))
		found = start->kind == KMS_CHECKPOINT_START;
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	return found;
}

static bool
next_checkpoint(SysScanDesc scan, Relation rel, KmsCheckpoint *checkpoint,
				bool ordered)
{
	HeapTuple	tuple = ordered ?
	systable_getnext_ordered(scan, ForwardScanDirection) :
	systable_getnext(scan);
	int			columns = RelationGetNumberOfAttributes(rel);
	Datum	   *values;
	bool	   *isnull;

	if (!HeapTupleIsValid(tuple))
		return false;
	values = palloc(columns * sizeof(Datum));
	isnull = palloc(columns * sizeof(bool));
	heap_deform_tuple(tuple, RelationGetDescr(rel), values, isnull);
	kms_checkpoint_read(values, isnull, checkpoint);
	pfree(values);
	pfree(isnull);
	return true;
}
