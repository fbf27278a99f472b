#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "store/latest.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "store/link.h"
#include "store/scan.h"

#define RUN_ROWS	1000		/* rows that are visited one by one */
#define LEAP_MAX	(INT64CONST(1) << 36)

/* A scan of kms.event_checkpoint, in the order of tickets. */
typedef struct Checkpoints
{
	Relation	rel;
	Relation	index;
	ScanKeyData key;
	SysScanDesc scan;
} Checkpoints;

static bool has_row(const char *table, const char *index, int hash_column,
					int64 ticket, const unsigned char *hash, int64 epoch);
static bool next_ticket(int64 ticket, int64 *next);
static bool next_in(const char *table, const char *index, int64 ticket,
					int64 *next);
static void begin_checkpoints(Checkpoints *checkpoints,
							  StrategyNumber strategy, RegProcedure compare,
							  int64 ticket);
static bool next_checkpoint(Checkpoints *checkpoints, ScanDirection direction,
							KmsCheckpoint *checkpoint);
static void end_checkpoints(Checkpoints *checkpoints);

bool
kms_latest_row(int64 ticket, const unsigned char *hash, int64 epoch)
{
	return has_row("event", "event_pkey", KMS_EVENT_HASH, ticket, hash,
				   epoch) ||
		has_row("event_quarantine", "event_quarantine_pkey", KMS_QUARANTINE_HASH,
				ticket, hash, epoch);
}

/* The columns of both tables begin with epoch and ticket. */
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
	int64		next;

	return next_ticket(ticket, &next);
}

/*
 * Go row by row.  If there are too many rows, leap by random distances, which
 * nobody can foresee.  They double, so they soon reach numbers among which
 * even millions of rows are few.
 */
int64
kms_latest_run(int64 ticket, int64 free)
{
	int64		leap = free;
	int64		next;
	int			rows = 0;

	while (next_ticket(ticket, &next) && next - ticket <= free)
	{
		uint64		random;

		CHECK_FOR_INTERRUPTS();
		if (++rows < RUN_ROWS)
		{
			ticket = next;
			continue;
		}
		if (!pg_strong_random(&random, sizeof(random)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate a random number for the trail"),
					 KMS_HIDE_STATEMENT));
		ticket += leap + (int64) (random % (uint64) leap);
		leap = Min(leap * 2, LEAP_MAX);
	}
	return ticket;
}

/* Find the lowest ticket behind this one. */
static bool
next_ticket(int64 ticket, int64 *next)
{
	int64		quarantined;
	bool		found = next_in("event", "event_pkey", ticket, next);

	if (next_in("event_quarantine", "event_quarantine_pkey", ticket, &quarantined))
	{
		*next = found ? Min(*next, quarantined) : quarantined;
		found = true;
	}
	return found;
}

static bool
next_in(const char *table, const char *index, int64 ticket, int64 *next)
{
	Relation	rel = table_open(kms_link_relation(table), AccessShareLock);
	Relation	tickets = index_open(kms_link_relation(index), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;

	ScanKeyInit(&key, KMS_EVENT_TICKET + 1, BTGreaterStrategyNumber, F_INT8GT,
				Int64GetDatum(ticket));
	scan = systable_beginscan_ordered(rel, tickets, NULL, 1, &key);
	tuple = systable_getnext_ordered(scan, ForwardScanDirection);
	if (HeapTupleIsValid(tuple))
		*next = DatumGetInt64(heap_getattr(tuple, KMS_EVENT_TICKET + 1,
										   RelationGetDescr(rel), &isnull));
	systable_endscan_ordered(scan);
	index_close(tickets, AccessShareLock);
	table_close(rel, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

bool
kms_latest_signature(int64 ticket, const unsigned char *hash)
{
	Checkpoints checkpoints;
	KmsCheckpoint checkpoint;
	bool		found = false;

	begin_checkpoints(&checkpoints, BTEqualStrategyNumber, F_INT8EQ, ticket);
	while (!found && next_checkpoint(&checkpoints, ForwardScanDirection,
									 &checkpoint))
		found = checkpoint.kind != KMS_CHECKPOINT_START &&
			memcmp(checkpoint.hash, hash, KMS_CHAIN_SIZE) == 0;
	end_checkpoints(&checkpoints);
	return found;
}

bool
kms_latest_checkpoint(int64 upto, KmsCheckpoint *checkpoint)
{
	Checkpoints checkpoints;
	bool		found = false;

	begin_checkpoints(&checkpoints, BTLessEqualStrategyNumber, F_INT8LE, upto);
	while (!found && next_checkpoint(&checkpoints, BackwardScanDirection,
									 checkpoint))
		found = checkpoint->kind != KMS_CHECKPOINT_START;
	end_checkpoints(&checkpoints);
	if (!found)
		memset(checkpoint, 0, sizeof(*checkpoint));
	return found;
}

/* A start has the lowest ticket of all. */
bool
kms_latest_start(KmsCheckpoint *start)
{
	Checkpoints checkpoints;
	bool		found = false;

	begin_checkpoints(&checkpoints, BTGreaterEqualStrategyNumber, F_INT8GE,
					  PG_INT64_MIN);
	while (!found && next_checkpoint(&checkpoints, ForwardScanDirection,
									 start))
		found = start->kind == KMS_CHECKPOINT_START;
	end_checkpoints(&checkpoints);
	if (!found)
		memset(start, 0, sizeof(*start));
	return found;
}

static void
begin_checkpoints(Checkpoints *checkpoints, StrategyNumber strategy,
				  RegProcedure compare, int64 ticket)
{
	checkpoints->rel = table_open(kms_link_relation("event_checkpoint"),
								  AccessShareLock);
	checkpoints->index = index_open(kms_link_relation("event_checkpoint_pkey"),
									AccessShareLock);
	ScanKeyInit(&checkpoints->key, 1, strategy, compare,
				Int64GetDatum(ticket));
	checkpoints->scan = systable_beginscan_ordered(checkpoints->rel,
												   checkpoints->index, NULL,
												   1, &checkpoints->key);
}

static bool
next_checkpoint(Checkpoints *checkpoints, ScanDirection direction,
				KmsCheckpoint *checkpoint)
{
	HeapTuple	tuple = systable_getnext_ordered(checkpoints->scan, direction);
	int			columns = RelationGetNumberOfAttributes(checkpoints->rel);
	Datum	   *values;
	bool	   *isnull;

	if (!HeapTupleIsValid(tuple))
		return false;
	values = palloc(columns * sizeof(Datum));
	isnull = palloc(columns * sizeof(bool));
	heap_deform_tuple(tuple, RelationGetDescr(checkpoints->rel), values,
					  isnull);
	kms_checkpoint_table_read(values, isnull, checkpoint);
	pfree(values);
	pfree(isnull);
	return true;
}

static void
end_checkpoints(Checkpoints *checkpoints)
{
	systable_endscan_ordered(checkpoints->scan);
	index_close(checkpoints->index, AccessShareLock);
	table_close(checkpoints->rel, AccessShareLock);
}

bool
kms_latest_outbox(void)
{
	Relation	rel = table_open(kms_link_relation("event_outbox"),
								 AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel,
										  kms_link_relation("event_outbox_pkey"),
										  true, NULL, 0, NULL);
	bool		found = HeapTupleIsValid(systable_getnext(scan));

	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}
