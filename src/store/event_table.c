/*
 * The trail, as the writer stores it.  The rows of each round are written
 * without SQL (store/rows.h), which fires no triggers.  The rest takes a few
 * statements, for which triggers are off in the writer (pg/untriggered.h).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "store/event_table.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "store/epoch_table.h"
#include "store/latest.h"
#include "store/link.h"
#include "store/metric.h"
#include "store/rows.h"
#include "store/spi.h"

/* A run of free tickets that is enough for any transaction. */
#define FREE_RUN 10000

/*
 * Events of a batch by minute, operation and status (which determines the
 * reason).
 */
typedef struct Count
{
	int			operation;
	int			status;
	KmsMetric	metric;
} Count;

typedef struct Counts
{
	Count	   *items;
	int			count;
	int			size;
	int			last;			/* index of the last hit */
} Counts;

static void read_epoch(KmsTrail *trail, const KmsEpochRow *row);
static void note_found(KmsTrail *trail, bool in_epoch);
static void read_last(KmsTrail *trail, int64 limit);
static void write_epoch(KmsEpochRow *row, const KmsTrail *trail);
static void follow(KmsTrail *trail, const KmsEpochRow *newest);
static bool is_kept(const KmsEvent *event);
static void insert_event(KmsRows *table, KmsTrail *trail,
						 const KmsEvent *event, const unsigned char *salt);
static void link_event(TupleTableSlot *slot, KmsTrail *trail,
					   const unsigned char *salt);
static void set_bytes(TupleTableSlot *slot, int column,
					  const unsigned char *data, int len);
static void count_event(Counts *counts, const KmsEvent *event);
static TimestampTz time_of(const KmsEvent *event);
static char *make_blank_query(void);

void
kms_event_table_open(KmsTrail *trail, int64 epoch, int64 complete, bool retired,
					 int64 limit)
{
	KmsEpochRow newest;
	KmsEpochRow own;
	bool		any = kms_epoch_table_end(&newest, limit);
	TimestampTz started_at;
	bool		known;
	bool		others;

	trail->left_out_at = 0;
	if (any && newest.epoch == epoch)
	{
		read_epoch(trail, &newest);
		note_found(trail, true);
		return;
	}
	known = kms_epoch_table_find(&own, epoch);
	own.epoch = epoch;
	read_epoch(trail, &own);
	others = any && newest.epoch != complete && newest.handed_over_at == 0 &&
		(!known || !retired);
	if (any)
	{
		trail->last_ticket = newest.last_ticket;
		memcpy(trail->hash, newest.hash, sizeof(trail->hash));
	}
	else
		read_last(trail, limit);
	note_found(trail, any);

	/*
	 * If two epochs have the same ticket, the later one must have the later
	 * time, whatever the clock says.
	 */
	started_at = GetCurrentTimestamp();
	if (any)
		started_at = Max(started_at, newest.started_at + 1);
	if (!known)
	{
		own.started_at = started_at;
		write_epoch(&own, trail);
		kms_epoch_table_insert(&own);
	}
	else if (any && !retired && !others)
	{
		/*
		 * There is no gap, so only its time makes this row the newest.  It is
		 * no longer handed over.
		 */
		own.started_at = started_at;
		write_epoch(&own, trail);
		kms_epoch_table_update(&own, 0);
	}
	if (others)
		follow(trail, &newest);
}

static void
note_found(KmsTrail *trail, bool in_epoch)
{
	trail->found_epoch = in_epoch;
	trail->found_ticket = trail->last_ticket;
	memcpy(trail->found_hash, trail->hash, sizeof(trail->found_hash));
}

bool
kms_event_table_skip(KmsTrail *trail)
{
	int64		last = kms_latest_run(trail->last_ticket, FREE_RUN);
	bool		skipped = last > trail->last_ticket;

	trail->last_ticket = last;
	return skipped;
}

void
kms_event_table_append(KmsTrail *trail, const KmsEvent *events, int count)
{
	KmsRows		table;
	Counts		counts = {0};
	unsigned char *salts = palloc(count * KMS_CHAIN_SALT_SIZE);
	int			i;

	kms_link_make_salts(salts, count);
	kms_rows_open(&table, "event");
	kms_link_check(RelationGetDescr(table.rel), false);
	for (i = 0; i < count; i++)
	{
		if (is_kept(&events[i]))
			insert_event(&table, trail, &events[i],
						 salts + i * KMS_CHAIN_SALT_SIZE);
		else
			trail->left_out_at = GetCurrentTimestamp();
		if (events[i].operation != KMS_OP_GAP)
			count_event(&counts, &events[i]);
	}
	kms_rows_close(&table);
	pfree(salts);

	for (i = 0; i < counts.count; i++)
		kms_metric_store(&counts.items[i].metric);
}

void
kms_event_table_gap(KmsTrail *trail, int64 calls, const char *remark)
{
	KmsEvent	gap;

	memset(&gap, 0, sizeof(gap));
	gap.occurred_at = GetCurrentTimestamp();
	gap.duration_us = -1;
	gap.calls = calls;
	gap.operation = KMS_OP_GAP;
	gap.status = KMS_FAILED;
	strlcpy(gap.remark, remark, sizeof(gap.remark));
	kms_event_table_append(trail, &gap, 1);
}

void
kms_event_table_close(const KmsTrail *trail)
{
	KmsEpochRow row = {0};

	write_epoch(&row, trail);
	kms_epoch_table_update(&row, trail->left_out_at);
}

void
kms_event_table_clear(const KmsTrail *trail)
{
	static SPIPlanPtr event_plan = NULL;
	static SPIPlanPtr quarantine_plan = NULL;
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_int64(&spi, trail->last_ticket);
	kms_spi_run(&spi, &event_plan,
				"DELETE FROM kms.event"
				" WHERE ticket > $1",
				SPI_OK_DELETE);
	kms_spi_run(&spi, &quarantine_plan,
				"DELETE FROM kms.event_quarantine"
				" WHERE ticket > $1",
				SPI_OK_DELETE);
	kms_spi_int64(&spi, trail->epoch);
	kms_spi_run(&spi, &plan,
				"DELETE FROM kms.event_epoch"
				" WHERE last_ticket > $1"
				" AND epoch <> $2",
				SPI_OK_DELETE);
	kms_spi_end(&spi);
}

/*
 * The status decides whether the reason is the caller's text, so compare it in
 * the row itself.
 */
bool
kms_event_table_blank(int64 epoch, int64 ticket, const unsigned char *proof,
					  size_t len)
{
	static SPIPlanPtr plan = NULL;
	static char *query = NULL;
	KmsSpi		spi;
	bool		done;

	if (query == NULL)
		query = make_blank_query();
	kms_spi_begin(&spi);
	kms_spi_int64(&spi, epoch);
	kms_spi_int64(&spi, ticket);
	kms_spi_optional_bytes(&spi, proof, len);
	kms_spi_run(&spi, &plan, query, SPI_OK_UPDATE);
	done = spi.processed > 0;
	kms_spi_end(&spi);
	return done;
}

static void
read_epoch(KmsTrail *trail, const KmsEpochRow *row)
{
	trail->epoch = row->epoch;
	trail->handed_over = false;
	trail->resumed = row->handed_over_at != 0;
	trail->position = row->position;
	trail->last_ticket = row->last_ticket;
	memcpy(trail->hash, row->hash, sizeof(trail->hash));

	/* a row that was changed by hand must not exhaust the numbers */
	trail->counted = row->counted >= 0 && row->counted < PG_INT64_MAX ?
		row->counted : 0;
}

/* Find the end of the trail if there are rows, but no epoch. */
static void
read_last(KmsTrail *trail, int64 limit)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	trail->last_ticket = 0;
	memset(trail->hash, 0, sizeof(trail->hash));
	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"SELECT ticket, hash FROM"
				" ((SELECT ticket, hash FROM kms.event"
				"   WHERE ticket < $1"
				"   ORDER BY ticket DESC LIMIT 1)"
				"  UNION ALL (SELECT ticket, hash FROM kms.event_quarantine"
				"   WHERE ticket < $1"
				"   ORDER BY ticket DESC LIMIT 1)) AS last"
				" ORDER BY ticket DESC LIMIT 1",
				SPI_OK_SELECT);
	if (spi.processed > 0)
	{
		bool		isnull;
		Datum		hash;

		trail->last_ticket = DatumGetInt64(kms_spi_field(0, 1, &isnull));
		hash = kms_spi_field(0, 2, &isnull);
		(void) kms_link_read_hash(hash, isnull, trail->hash);
	}
	kms_spi_end(&spi);
}

static void
write_epoch(KmsEpochRow *row, const KmsTrail *trail)
{
	row->epoch = trail->epoch;
	row->position = trail->position;
	row->last_ticket = trail->last_ticket;
	row->counted = trail->counted;
	row->handed_over_at = trail->handed_over ? GetCurrentTimestamp() : 0;
	memcpy(row->hash, trail->hash, sizeof(row->hash));
}

static void
follow(KmsTrail *trail, const KmsEpochRow *newest)
{
	char		remark[sizeof(((KmsEvent *) 0)->remark)];

	snprintf(remark, sizeof(remark),
			 "epoch " INT64_FORMAT KMS_GAP_UNFINISHED "events after ticket "
			 INT64_FORMAT " (position " INT64_FORMAT
			 ") up to this row may be missing",
			 newest->epoch, newest->last_ticket, newest->position);
	kms_event_table_gap(trail, 0, remark);
	kms_event_table_close(trail);
}

/*
 * Return whether the event gets a row.  Otherwise it is only counted
 * (kms.event_detail).
 */
static bool
is_kept(const KmsEvent *event)
{
	return kms_event_detail == KMS_DETAIL_ALL ||
		(event->operation != KMS_OP_DECRYPT &&
		 event->operation != KMS_OP_DECRYPT_FIELD) ||
		event->status != KMS_OK;
}

static void
insert_event(KmsRows *table, KmsTrail *trail, const KmsEvent *event,
			 const unsigned char *salt)
{
	TupleTableSlot *slot = table->slot;
	MemoryContext caller;
	int			i;

	caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(table->estate));
	kms_rows_clear(table);
	slot->tts_values[KMS_EVENT_EPOCH] = Int64GetDatum(trail->epoch);
	slot->tts_isnull[KMS_EVENT_EPOCH] = false;
	slot->tts_values[KMS_EVENT_TICKET] = Int64GetDatum(++trail->last_ticket);
	slot->tts_isnull[KMS_EVENT_TICKET] = false;
	for (i = 0; i < kms_event_field_count; i++)
	{
		const KmsEventField *field = &kms_event_fields[i];

		slot->tts_values[field->column] =
			kms_link_value(event, field, &slot->tts_isnull[field->column]);
	}
	link_event(slot, trail, salt);
	MemoryContextSwitchTo(caller);
	kms_rows_insert(table);
}

/* Make the row follow from the last one.  It becomes the last one. */
static void
link_event(TupleTableSlot *slot, KmsTrail *trail, const unsigned char *salt)
{
	KmsChainEvent event;
	unsigned char stored[KMS_CHAIN_STORED_SIZE];

	kms_link_event(slot->tts_values, slot->tts_isnull, &event);
	kms_link_chain_event(&event, salt, trail->hash);
	set_bytes(slot, KMS_EVENT_SALT, salt, KMS_CHAIN_SALT_SIZE);
	kms_link_write_hash(trail->hash, stored);
	set_bytes(slot, KMS_EVENT_HASH, stored, sizeof(stored));
}

static void
set_bytes(TupleTableSlot *slot, int column, const unsigned char *data, int len)
{
	slot->tts_values[column] =
		PointerGetDatum(cstring_to_text_with_len((const char *) data, len));
	slot->tts_isnull[column] = false;
}

static void
count_event(Counts *counts, const KmsEvent *event)
{
	TimestampTz minute = kms_metric_bucket(time_of(event), KMS_METRIC_MINUTE);
	bool		success = kms_status_is_success((KmsStatus) event->status);
	int			status = success ? KMS_OK : event->status;
	Count	   *item = NULL;
	int			i;

	/* most events are like the one before */
	for (i = 0; i < counts->count; i++)
	{
		Count	   *candidate = &counts->items[(counts->last + i) % counts->count];

		if (candidate->metric.bucket == minute &&
			candidate->operation == event->operation &&
			candidate->status == status)
		{
			item = candidate;
			break;
		}
	}
	if (item == NULL)
	{
		if (counts->count == counts->size)
		{
			counts->size = counts->size == 0 ? 16 : counts->size * 2;
			counts->items = counts->items == NULL ?
				palloc(counts->size * sizeof(Count)) :
				repalloc(counts->items, counts->size * sizeof(Count));
		}
		item = &counts->items[counts->count++];
		memset(item, 0, sizeof(*item));
		item->operation = event->operation;
		item->status = status;
		item->metric.bucket = minute;
		item->metric.width = KMS_METRIC_MINUTE;
		item->metric.operation = kms_event_operation_name(event->operation);
		item->metric.status = success ? "success" : "failure";
		item->metric.reason = success ? "" :
			kms_status_reason((KmsStatus) event->status);
		if (item->metric.reason == NULL)
			item->metric.reason = "";
	}
	counts->last = (int) (item - counts->items);
	kms_metric_count(&item->metric, event->calls, event->duration_us);
}

static TimestampTz
time_of(const KmsEvent *event)
{
	return IS_VALID_TIMESTAMP(event->occurred_at) ?
		(TimestampTz) event->occurred_at : GetCurrentTimestamp();
}

/* Return the query, which is kept for the session. */
static char *
make_blank_query(void)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	StringInfoData query;
	int			i;

	initStringInfo(&query);
	appendStringInfoString(&query, "UPDATE kms.event SET");
	for (i = 0; i < kms_event_field_count; i++)
	{
		const KmsEventField *field = &kms_event_fields[i];

		if (field->cover == KMS_CHAIN_PERSONAL)
			appendStringInfo(&query, " %s = NULL,", field->name);
		else if (field->cover == KMS_CHAIN_REASON)
			appendStringInfo(&query,
							 " %s = CASE WHEN status = 'failure' THEN %s END,",
							 field->name, field->name);
	}
	appendStringInfoString(&query,
						   " salt = NULL, forgotten = $3"
						   " WHERE epoch = $1 AND ticket = $2");
	MemoryContextSwitchTo(caller);
	return query.data;
}
