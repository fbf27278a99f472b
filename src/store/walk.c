/* Two index scans are merged, without SQL: a million rows take seconds. */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/walk.h"

#include "pg/compat.h"
#include "pg/owner.h"
#include "store/checkpoint_table.h"
#include "store/epoch_table.h"
#include "store/link.h"
#include "store/scan.h"

/* A table and its next row. */
typedef struct Cursor
{
	Relation	rel;
	Relation	index;
	SysScanDesc scan;
	Datum	   *values;
	bool	   *isnull;
	bool		ended;
	int64		epoch;
	int64		ticket;
} Cursor;

struct KmsWalk
{
	KmsOwnerScope owner;
	Snapshot	snapshot;
	MemoryContext row_context;	/* memory that the row points to */
	Cursor		events;
	Cursor		quarantine;
	Cursor	   *given;			/* cursor of the last row returned */
	KmsWalkRow	row;
};

/* Both tables begin with these columns. */
StaticAssertDecl((int) KMS_EVENT_EPOCH == (int) KMS_QUARANTINE_EPOCH &&
				 (int) KMS_EVENT_TICKET == (int) KMS_QUARANTINE_TICKET,
				 "epoch and ticket must be the same columns");

static void open_cursor(KmsWalk *walk, Cursor *cursor, const char *table,
						const char *index);
static void advance(Cursor *cursor);
static bool comes_first(const Cursor *one, const Cursor *other);
static void close_cursor(Cursor *cursor);
static int	compare_epochs(const ListCell *a, const ListCell *b);
static void read_row(KmsWalkRow *row, const Cursor *cursor, bool is_quarantined);
static bool read_bytes(const Cursor *cursor, int column, unsigned char *out,
					   size_t size, bool *malformed);
static bool read_hash(const Cursor *cursor, int column, unsigned char *hash,
					  bool *malformed);
static bool read_forgotten(const Cursor *cursor, int column,
						   KmsForgotten *forgotten, bool *malformed);

KmsWalk *
kms_walk_begin(void)
{
	KmsWalk    *walk = palloc0(sizeof(KmsWalk));

	kms_owner_enter(&walk->owner);
	walk->snapshot = RegisterSnapshot(GetActiveSnapshot());
	walk->row_context = AllocSetContextCreate(CurrentMemoryContext,
											  "kms row of the trail",
											  ALLOCSET_DEFAULT_SIZES);
	open_cursor(walk, &walk->events, "event", "event_pkey");
	open_cursor(walk, &walk->quarantine, "event_quarantine",
				"event_quarantine_pkey");
	return walk;
}

List *
kms_walk_epochs(const KmsWalk *walk)
{
	Relation	rel = table_open(kms_link_relation("event_epoch"),
								 AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false,
										  walk->snapshot, 0, NULL);
	List	   *epochs = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KmsEpochRow *epoch = palloc(sizeof(KmsEpochRow));

		kms_epoch_table_read(epoch, tuple, RelationGetDescr(rel));
		epochs = lappend(epochs, epoch);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	list_sort(epochs, compare_epochs);
	return epochs;
}

List *
kms_walk_checkpoints(const KmsWalk *walk)
{
	Relation	rel = table_open(kms_link_relation("event_checkpoint"),
								 AccessShareLock);
	Relation	index = index_open(kms_link_relation("event_checkpoint_pkey"),
								   AccessShareLock);
	int			columns = RelationGetNumberOfAttributes(rel);
	Datum	   *values = palloc(columns * sizeof(Datum));
	bool	   *isnull = palloc(columns * sizeof(bool));
	SysScanDesc scan = systable_beginscan_ordered(rel, index, walk->snapshot,
												  0, NULL);
	List	   *checkpoints = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan,
															 ForwardScanDirection)))
	{
		KmsCheckpoint *checkpoint = palloc(sizeof(KmsCheckpoint));

		heap_deform_tuple(tuple, RelationGetDescr(rel), values, isnull);
		kms_checkpoint_table_read(values, isnull, checkpoint);
		checkpoints = lappend(checkpoints, checkpoint);
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(rel, AccessShareLock);
	pfree(values);
	pfree(isnull);
	return checkpoints;
}

const KmsWalkRow *
kms_walk_next(KmsWalk *walk)
{
	MemoryContext caller;

	CHECK_FOR_INTERRUPTS();
	if (walk->given != NULL)
		advance(walk->given);
	walk->given = comes_first(&walk->quarantine, &walk->events) ?
		&walk->quarantine : &walk->events;
	if (walk->given->ended)
		return NULL;

	MemoryContextReset(walk->row_context);
	caller = MemoryContextSwitchTo(walk->row_context);
	read_row(&walk->row, walk->given, walk->given == &walk->quarantine);
	MemoryContextSwitchTo(caller);
	return &walk->row;
}

void
kms_walk_end(KmsWalk *walk)
{
	close_cursor(&walk->events);
	close_cursor(&walk->quarantine);
	MemoryContextDelete(walk->row_context);
	UnregisterSnapshot(walk->snapshot);
	kms_owner_leave(&walk->owner);
	pfree(walk);
}

static void
open_cursor(KmsWalk *walk, Cursor *cursor, const char *table,
			const char *index)
{
	int			columns;

	cursor->rel = table_open(kms_link_relation(table), AccessShareLock);
	kms_link_check(RelationGetDescr(cursor->rel), cursor == &walk->quarantine);
	columns = RelationGetNumberOfAttributes(cursor->rel);
	cursor->values = palloc(columns * sizeof(Datum));
	cursor->isnull = palloc(columns * sizeof(bool));
	cursor->index = index_open(kms_link_relation(index), AccessShareLock);
	cursor->scan = systable_beginscan_ordered(cursor->rel, cursor->index,
											  walk->snapshot, 0, NULL);
	advance(cursor);
}

static void
advance(Cursor *cursor)
{
	HeapTuple	tuple = systable_getnext_ordered(cursor->scan,
												 ForwardScanDirection);

	cursor->ended = !HeapTupleIsValid(tuple);
	if (cursor->ended)
		return;
	heap_deform_tuple(tuple, RelationGetDescr(cursor->rel), cursor->values,
					  cursor->isnull);
	cursor->epoch = DatumGetInt64(cursor->values[KMS_EVENT_EPOCH]);
	cursor->ticket = DatumGetInt64(cursor->values[KMS_EVENT_TICKET]);
}

static bool
comes_first(const Cursor *one, const Cursor *other)
{
	if (one->ended || other->ended)
		return !one->ended;
	if (one->ticket != other->ticket)
		return one->ticket < other->ticket;
	return one->epoch < other->epoch;
}

static void
close_cursor(Cursor *cursor)
{
	systable_endscan_ordered(cursor->scan);
	index_close(cursor->index, AccessShareLock);
	table_close(cursor->rel, AccessShareLock);
	pfree(cursor->values);
	pfree(cursor->isnull);
}

static int
compare_epochs(const ListCell *a, const ListCell *b)
{
	const KmsEpochRow *one = lfirst(a);
	const KmsEpochRow *other = lfirst(b);

	if (one->last_ticket != other->last_ticket)
		return one->last_ticket > other->last_ticket ? -1 : 1;
	if (one->started_at != other->started_at)
		return one->started_at > other->started_at ? -1 : 1;
	return 0;
}

static void
read_row(KmsWalkRow *row, const Cursor *cursor, bool is_quarantined)
{
	row->epoch = cursor->epoch;
	row->ticket = cursor->ticket;
	row->is_quarantined = is_quarantined;
	row->malformed = false;
	if (is_quarantined)
		kms_link_quarantine(cursor->values, cursor->isnull, &row->quarantined);
	else
		kms_link_event(cursor->values, cursor->isnull, &row->event);
	row->has_salt = read_bytes(cursor,
							   is_quarantined ? KMS_QUARANTINE_SALT : KMS_EVENT_SALT,
							   row->salt, sizeof(row->salt),
							   &row->malformed);
	row->has_hash = read_hash(cursor,
							  is_quarantined ? KMS_QUARANTINE_HASH : KMS_EVENT_HASH,
							  row->hash, &row->malformed);
	row->was_forgotten = read_forgotten(cursor,
										is_quarantined ? KMS_QUARANTINE_FORGOTTEN
										: KMS_EVENT_FORGOTTEN,
										&row->forgotten, &row->malformed);
}

/*
 * Return false if the column is NULL or does not have "size" bytes.  The
 * latter is not well-formed.
 */
static bool
read_bytes(const Cursor *cursor, int column, unsigned char *out, size_t size,
		   bool *malformed)
{
	bool		isnull = cursor->isnull[column];

	if (kms_scan_bytes(cursor->values[column], isnull, out, size) == size)
		return true;
	*malformed |= !isnull;
	return false;
}

static bool
read_hash(const Cursor *cursor, int column, unsigned char *hash,
		  bool *malformed)
{
	bool		isnull = cursor->isnull[column];

	if (kms_link_read_hash(cursor->values[column], isnull, hash))
		return true;
	*malformed |= !isnull;
	return false;
}

static bool
read_forgotten(const Cursor *cursor, int column, KmsForgotten *forgotten,
			   bool *malformed)
{
	unsigned char stored[KMS_FORGOTTEN_SIZE_MAX];
	bool		isnull = cursor->isnull[column];
	size_t		len;

	if (isnull)
		return false;
	len = kms_scan_bytes(cursor->values[column], isnull, stored,
						 sizeof(stored));
	if (kms_chain_forgotten_read(stored, len, forgotten) == KMS_OK)
		return true;
	*malformed = true;
	return false;
}
