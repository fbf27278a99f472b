#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "store/epoch_table.h"

#include "store/link.h"
#include "store/rows.h"
#include "store/scan.h"

/* Columns of kms.event_epoch, from 1. */
enum
{
	EPOCH_EPOCH = 1, EPOCH_STARTED_AT, EPOCH_POSITION, EPOCH_LAST_TICKET,
	EPOCH_HASH, EPOCH_LEFT_OUT_AT, EPOCH_COUNTED, EPOCH_HANDED_OVER_AT
};

static const Oid types[] = {
	INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID, BYTEAOID, TIMESTAMPTZOID, INT8OID,
	TIMESTAMPTZOID
};

static void set_values(KmsRows *rows, const KmsEpochRow *epoch);
static void set_value(KmsRows *rows, int column, Datum value);
static bool is_newer(const KmsEpochRow *one, const KmsEpochRow *other);
static SysScanDesc begin_scan(Relation *rel, int count, ScanKey key);
static void end_scan(SysScanDesc scan, Relation rel);
static int64 number(HeapTuple tuple, int column, TupleDesc desc);

void
kms_epoch_table_read(KmsEpochRow *epoch, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		hash;

	kms_link_columns(desc, "event_epoch", types, lengthof(types));
	epoch->epoch = number(tuple, EPOCH_EPOCH, desc);
	epoch->started_at = number(tuple, EPOCH_STARTED_AT, desc);
	epoch->position = number(tuple, EPOCH_POSITION, desc);
	epoch->last_ticket = number(tuple, EPOCH_LAST_TICKET, desc);
	epoch->counted = number(tuple, EPOCH_COUNTED, desc);
	epoch->handed_over_at = number(tuple, EPOCH_HANDED_OVER_AT, desc);
	hash = heap_getattr(tuple, EPOCH_HASH, desc, &isnull);
	if (kms_scan_bytes(hash, isnull, epoch->hash,
					   sizeof(epoch->hash)) != sizeof(epoch->hash))
		memset(epoch->hash, 0, sizeof(epoch->hash));
	epoch->tid = tuple->t_self;
}

bool
kms_epoch_table_end(KmsEpochRow *end, int64 limit)
{
	Relation	rel;
	SysScanDesc scan = begin_scan(&rel, 0, NULL);
	HeapTuple	tuple;
	bool		found = false;

	memset(end, 0, sizeof(*end));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KmsEpochRow epoch;

		kms_epoch_table_read(&epoch, tuple, RelationGetDescr(rel));
		if (epoch.last_ticket >= 0 && epoch.last_ticket < limit &&
			(!found || is_newer(&epoch, end)))
		{
			*end = epoch;
			found = true;
		}
	}
	end_scan(scan, rel);
	return found;
}

bool
kms_epoch_table_find(KmsEpochRow *epoch, int64 number)
{
	Relation	rel;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, EPOCH_EPOCH, BTEqualStrategyNumber, F_INT8EQ,
				Int64GetDatum(number));
	scan = begin_scan(&rel, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
		kms_epoch_table_read(epoch, tuple, RelationGetDescr(rel));
	else
		memset(epoch, 0, sizeof(*epoch));
	end_scan(scan, rel);
	return found;
}

void
kms_epoch_table_insert(const KmsEpochRow *epoch)
{
	KmsRows		rows;

	kms_rows_open(&rows, "event_epoch");
	kms_link_columns(RelationGetDescr(rows.rel), "event_epoch", types,
					 lengthof(types));
	kms_rows_clear(&rows);
	set_values(&rows, epoch);
	set_value(&rows, EPOCH_STARTED_AT, TimestampTzGetDatum(epoch->started_at));
	kms_rows_insert(&rows);
	kms_rows_close(&rows);
}

void
kms_epoch_table_update(const KmsEpochRow *epoch, TimestampTz left_out_at)
{
	KmsRows		rows;
	KmsEpochRow stored;
	bool		done = false;

	kms_rows_open(&rows, "event_epoch");
	while (!done && kms_epoch_table_find(&stored, epoch->epoch))
	{
		if (!kms_rows_lock(&rows, &stored.tid))
			continue;			/* it has been changed: read it again */
		set_values(&rows, epoch);
		if (epoch->started_at != 0)
			set_value(&rows, EPOCH_STARTED_AT,
					  TimestampTzGetDatum(epoch->started_at));
		if (left_out_at != 0)
			set_value(&rows, EPOCH_LEFT_OUT_AT,
					  TimestampTzGetDatum(left_out_at));
		kms_rows_update(&rows);
		done = true;
	}
	kms_rows_close(&rows);
}

/* Set all columns except started_at and left_out_at. */
static void
set_values(KmsRows *rows, const KmsEpochRow *epoch)
{
	bytea	   *hash = palloc(VARHDRSZ + sizeof(epoch->hash));

	SET_VARSIZE(hash, VARHDRSZ + sizeof(epoch->hash));
	memcpy(VARDATA(hash), epoch->hash, sizeof(epoch->hash));
	set_value(rows, EPOCH_EPOCH, Int64GetDatum(epoch->epoch));
	set_value(rows, EPOCH_POSITION, Int64GetDatum(epoch->position));
	set_value(rows, EPOCH_LAST_TICKET, Int64GetDatum(epoch->last_ticket));
	set_value(rows, EPOCH_HASH, PointerGetDatum(hash));
	set_value(rows, EPOCH_COUNTED, Int64GetDatum(epoch->counted));
	set_value(rows, EPOCH_HANDED_OVER_AT,
			  TimestampTzGetDatum(epoch->handed_over_at));
	rows->slot->tts_isnull[EPOCH_HANDED_OVER_AT - 1] =
		epoch->handed_over_at == 0;
}

static void
set_value(KmsRows *rows, int column, Datum value)
{
	rows->slot->tts_values[column - 1] = value;
	rows->slot->tts_isnull[column - 1] = false;
}

static bool
is_newer(const KmsEpochRow *one, const KmsEpochRow *other)
{
	return one->last_ticket != other->last_ticket ?
		one->last_ticket > other->last_ticket :
		one->started_at > other->started_at;
}

/* Without a key, read all rows: there are few. */
static SysScanDesc
begin_scan(Relation *rel, int count, ScanKey key)
{
	Oid			index = count > 0 ? kms_link_relation("event_epoch_pkey") :
	InvalidOid;

	*rel = table_open(kms_link_relation("event_epoch"), AccessShareLock);
	return systable_beginscan(*rel, index, count > 0, NULL, count, key);
}

static void
end_scan(SysScanDesc scan, Relation rel)
{
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* Return 0 for null. */
static int64
number(HeapTuple tuple, int column, TupleDesc desc)
{
	bool		isnull;

	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}
