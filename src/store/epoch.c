#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "store/epoch.h"

#include "store/link.h"
#include "store/rows.h"
#include "store/scan.h"

/* Columns of kms.event_epoch, from 1. */
enum
{
	EPOCH_EPOCH = 1, EPOCH_STARTED_AT, EPOCH_POSITION, EPOCH_LAST_TICKET,
	EPOCH_HASH, EPOCH_LEFT_OUT_AT, EPOCH_COUNTED
};

static void set_values(KmsRows *rows, const KmsEpoch *epoch);
static void set_value(KmsRows *rows, int column, Datum value);
static bool is_newer(const KmsEpoch *one, const KmsEpoch *other);
static SysScanDesc begin_scan(Relation *rel);
static void end_scan(SysScanDesc scan, Relation rel);
static int64 number(HeapTuple tuple, int column, TupleDesc desc);

void
kms_epoch_read(KmsEpoch *epoch, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	Datum		hash;

	epoch->epoch = number(tuple, EPOCH_EPOCH, desc);
	epoch->started_at = number(tuple, EPOCH_STARTED_AT, desc);
	epoch->position = number(tuple, EPOCH_POSITION, desc);
	epoch->last_ticket = number(tuple, EPOCH_LAST_TICKET, desc);
	epoch->counted = number(tuple, EPOCH_COUNTED, desc);
	hash = heap_getattr(tuple, EPOCH_HASH, desc, &isnull);
	if (TupleDescAttr(desc, EPOCH_HASH - 1)->atttypid != BYTEAOID ||
		kms_scan_bytes(hash, isnull, epoch->hash,
					   sizeof(epoch->hash)) != sizeof(epoch->hash))
		memset(epoch->hash, 0, sizeof(epoch->hash));
	epoch->tid = tuple->t_self;
}

bool
kms_epoch_end(KmsEpoch *end, int64 limit)
{
	Relation	rel;
	SysScanDesc scan = begin_scan(&rel);
	HeapTuple	tuple;
	bool		found = false;

	memset(end, 0, sizeof(*end));
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		KmsEpoch	epoch;

		kms_epoch_read(&epoch, tuple, RelationGetDescr(rel));
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
kms_epoch_find(KmsEpoch *epoch, int64 number)
{
	Relation	rel;
	SysScanDesc scan = begin_scan(&rel);
	HeapTuple	tuple;
	bool		found = false;

	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		kms_epoch_read(epoch, tuple, RelationGetDescr(rel));
		found = epoch->epoch == number;
	}
	if (!found)
		memset(epoch, 0, sizeof(*epoch));
	end_scan(scan, rel);
	return found;
}

void
kms_epoch_insert(const KmsEpoch *epoch)
{
	KmsRows		rows;

	kms_rows_open(&rows, "event_epoch");
	kms_rows_clear(&rows);
	set_values(&rows, epoch);
	set_value(&rows, EPOCH_STARTED_AT, TimestampTzGetDatum(epoch->started_at));
	kms_rows_insert(&rows);
	kms_rows_close(&rows);
}

void
kms_epoch_update(const KmsEpoch *epoch, TimestampTz left_out_at)
{
	KmsRows		rows;
	KmsEpoch	stored;
	bool		done = false;

	kms_rows_open(&rows, "event_epoch");
	while (!done && kms_epoch_find(&stored, epoch->epoch))
	{
		if (!kms_rows_lock(&rows, &stored.tid))
			continue;			/* somebody has changed it */
		set_values(&rows, epoch);
		if (left_out_at != 0)
			set_value(&rows, EPOCH_LEFT_OUT_AT,
					  TimestampTzGetDatum(left_out_at));
		kms_rows_update(&rows);
		done = true;
	}
	kms_rows_close(&rows);
}

/* All but the times. */
static void
set_values(KmsRows *rows, const KmsEpoch *epoch)
{
	bytea	   *hash = palloc(VARHDRSZ + sizeof(epoch->hash));

	SET_VARSIZE(hash, VARHDRSZ + sizeof(epoch->hash));
	memcpy(VARDATA(hash), epoch->hash, sizeof(epoch->hash));
	set_value(rows, EPOCH_EPOCH, Int64GetDatum(epoch->epoch));
	set_value(rows, EPOCH_POSITION, Int64GetDatum(epoch->position));
	set_value(rows, EPOCH_LAST_TICKET, Int64GetDatum(epoch->last_ticket));
	set_value(rows, EPOCH_HASH, PointerGetDatum(hash));
	set_value(rows, EPOCH_COUNTED, Int64GetDatum(epoch->counted));
}

static void
set_value(KmsRows *rows, int column, Datum value)
{
	rows->slot->tts_values[column - 1] = value;
	rows->slot->tts_isnull[column - 1] = false;
}

static bool
is_newer(const KmsEpoch *one, const KmsEpoch *other)
{
	return one->last_ticket != other->last_ticket ?
		one->last_ticket > other->last_ticket :
		one->started_at > other->started_at;
}

/* They are few: from first to last. */
static SysScanDesc
begin_scan(Relation *rel)
{
	*rel = table_open(kms_link_relation("event_epoch"), AccessShareLock);
	return systable_beginscan(*rel, InvalidOid, false, NULL, 0, NULL);
}

static void
end_scan(SysScanDesc scan, Relation rel)
{
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

/* None of the columns is ever null. */
static int64
number(HeapTuple tuple, int column, TupleDesc desc)
{
	bool		isnull;

	return DatumGetInt64(heap_getattr(tuple, column, desc, &isnull));
}
