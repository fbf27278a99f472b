/*
 * The trail: what the writer puts into the tables.  What each turn does it does
 * without SQL (store/rows.h), the rest in a few statements.  Triggers run
 * neither here nor, in the writer, there (pg/untriggered.h).
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
#include "store/latest.h"
#include "store/link.h"
#include "store/metric.h"
#include "store/rows.h"
#include "store/spi.h"
#include "store/epoch_table.h"

/* Free numbers in a row that are enough for each transaction. */
#define FREE_RUN 10000

#define GAP_REASON "Events may be missing"


/* Events of a batch by minute, operation and status (which has the reason). */
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
	int			last;			/* the one hit last */
} Counts;

static void read_epoch(KmsTrail *trail, const KmsEpochRow *row);
static void note_found(KmsTrail *trail, bool in_epoch);
static void read_last(KmsTrail *trail, int64 limit);
static void write_epoch(KmsEpochRow *row, const KmsTrail *trail);
static void follow(KmsTrail *trail, const KmsEpochRow *newest);
static bool is_kept(const KmsEvent *event);
static void insert_event(KmsRows *table, KmsTrail *trail,
						 const KmsEvent *event, const unsigned char *salt);
static void set_text(TupleTableSlot *slot, int column, const char *value);
static void link_event(TupleTableSlot *slot, KmsTrail *trail,
					   const unsigned char *salt);
static void set_bytes(TupleTableSlot *slot, int column,
					  const unsigned char *data, int len);
static void make_salts(unsigned char *salts, int count);
static void check_link(KmsStatus status);
static void count_event(Counts *counts, const KmsEvent *event);
static TimestampTz time_of(const KmsEvent *event);
static void read_outbox_row(uint64 row, KmsEvent *event);
static void copy_field(uint64 row, int column, char *out, size_t size);
static int	operation_number(const char *name);
static void insert_quarantine(KmsTrail *trail, const char *error,
							  const char *data, size_t len);
static void link_aside(const KmsSpi *spi, KmsTrail *trail,
					   const unsigned char *salt);
static char *field_text(uint64 row, int column);

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
	/* the later one of two with the same ticket, whatever the clock says */
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
		/* without a gap it is the newest from now on, and not marked any more */
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

	make_salts(salts, count);
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
kms_event_table_gap(KmsTrail *trail, int64 calls, const char *context)
{
	KmsEvent	gap;

	memset(&gap, 0, sizeof(gap));
	gap.occurred_at = GetCurrentTimestamp();
	gap.duration_us = -1;
	gap.calls = calls;
	gap.operation = KMS_OP_GAP;
	gap.status = KMS_FAILED;
	strlcpy(gap.context, context, sizeof(gap.context));
	kms_event_table_append(trail, &gap, 1);
}

/*
 * Rows that the sequence has given no ids come from a restore that is not
 * complete.  They wait: without kms.event_epoch tickets would begin at 1 again,
 * and rows of kms.metric that are counted now would be in the way of those
 * that come.
 */
int
kms_event_table_move_outbox(KmsTrail *trail, int limit)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext caller = CurrentMemoryContext;
	KmsEvent   *events = NULL;
	KmsSpi		spi;
	int			count;
	int			i;

	if (!kms_latest_outbox())
		return 0;
	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"WITH moved AS (DELETE FROM kms.event_outbox"
				" WHERE event_id OPERATOR(pg_catalog.=) ANY (ARRAY("
				"SELECT event_id FROM kms.event_outbox"
				" WHERE (SELECT is_called FROM kms.event_outbox_event_id_seq)"
				" ORDER BY event_id LIMIT $1 FOR UPDATE SKIP LOCKED))"
				" RETURNING event_id, occurred_at, operation, context,"
				" duration_ms, key_id, device_id, session_role,"
				" effective_role, client_addr, application_name,"
				" audit_context, caller_role, calls, form)"
				" SELECT occurred_at, operation, context, duration_ms, key_id,"
				" device_id, session_role, effective_role, client_addr,"
				" application_name, audit_context, caller_role, calls, form"
				" FROM moved ORDER BY event_id",
				SPI_OK_SELECT);
	count = (int) spi.processed;
	if (count > 0)
		events = MemoryContextAllocZero(caller, count * sizeof(KmsEvent));
	for (i = 0; i < count; i++)
		read_outbox_row(i, &events[i]);
	kms_spi_end(&spi);

	if (count > 0)
	{
		kms_event_table_append(trail, events, count);
		pfree(events);
	}
	return count;
}

void
kms_event_table_set_aside(KmsTrail *trail, const KmsEvent *event, const char *error)
{
	insert_quarantine(trail, error, (const char *) event, sizeof(*event));
}

bool
kms_event_table_set_aside_outbox(KmsTrail *trail, const char *error)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext caller = CurrentMemoryContext;
	char	   *row = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_run(&spi, &plan,
				"DELETE FROM kms.event_outbox AS o"
				" WHERE event_id OPERATOR(pg_catalog.=)"
				" (SELECT event_id FROM kms.event_outbox"
				" ORDER BY event_id LIMIT 1 FOR UPDATE SKIP LOCKED)"
				" RETURNING pg_catalog.row_to_json(o)::pg_catalog.text",
				SPI_OK_DELETE_RETURNING);
	if (spi.processed > 0)
		row = MemoryContextStrdup(caller, field_text(0, 1));
	kms_spi_end(&spi);

	if (row != NULL)
		insert_quarantine(trail, error, row, strlen(row));
	return row != NULL;
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
	static SPIPlanPtr aside_plan = NULL;
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_int64(&spi, trail->last_ticket);
	kms_spi_run(&spi, &event_plan,
				"DELETE FROM kms.event"
				" WHERE ticket OPERATOR(pg_catalog.>) $1",
				SPI_OK_DELETE);
	kms_spi_run(&spi, &aside_plan,
				"DELETE FROM kms.event_quarantine"
				" WHERE ticket OPERATOR(pg_catalog.>) $1",
				SPI_OK_DELETE);
	kms_spi_int64(&spi, trail->epoch);
	kms_spi_run(&spi, &plan,
				"DELETE FROM kms.event_epoch"
				" WHERE last_ticket OPERATOR(pg_catalog.>) $1"
				" AND epoch OPERATOR(pg_catalog.<>) $2",
				SPI_OK_DELETE);
	kms_spi_end(&spi);
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

	/* one that has been changed by hand must not run out of numbers */
	trail->counted = row->counted >= 0 && row->counted < PG_INT64_MAX ?
		row->counted : 0;
}

/* Where rows are there and no epoch. */
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
				"   WHERE ticket OPERATOR(pg_catalog.<) $1"
				"   ORDER BY ticket DESC LIMIT 1)"
				"  UNION ALL (SELECT ticket, hash FROM kms.event_quarantine"
				"   WHERE ticket OPERATOR(pg_catalog.<) $1"
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
	char		context[sizeof(((KmsEvent *) 0)->context)];

	snprintf(context, sizeof(context),
			 "epoch " INT64_FORMAT KMS_GAP_UNFINISHED "events after ticket "
			 INT64_FORMAT " (position " INT64_FORMAT
			 ") up to this row may be missing",
			 newest->epoch, newest->last_ticket, newest->position);
	kms_event_table_gap(trail, 0, context);
	kms_event_table_close(trail);
}

/* Else it is only counted (kms.event_detail). */
static bool
is_kept(const KmsEvent *event)
{
	return kms_event_detail == KMS_DETAIL_ALL ||
		event->operation != KMS_OP_DECRYPT || event->status != KMS_OK;
}

static void
insert_event(KmsRows *table, KmsTrail *trail, const KmsEvent *event,
			 const unsigned char *salt)
{
	TupleTableSlot *slot = table->slot;
	MemoryContext caller;
	const char *reason;

	caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(table->estate));
	kms_rows_clear(table);

	if (event->operation == KMS_OP_GAP)
		reason = GAP_REASON;
	else if (event->status == KMS_OK)
		reason = event->operation == KMS_OP_VERIFY ? NULL : event->context;
	else
		reason = kms_status_reason((KmsStatus) event->status);

	slot->tts_values[KMS_EVENT_EPOCH] = Int64GetDatum(trail->epoch);
	slot->tts_isnull[KMS_EVENT_EPOCH] = false;
	slot->tts_values[KMS_EVENT_TICKET] = Int64GetDatum(++trail->last_ticket);
	slot->tts_isnull[KMS_EVENT_TICKET] = false;
	slot->tts_values[KMS_EVENT_OCCURRED_AT] = TimestampTzGetDatum(time_of(event));
	slot->tts_isnull[KMS_EVENT_OCCURRED_AT] = false;
	set_text(slot, KMS_EVENT_OPERATION, kms_event_operation_name(event->operation));
	set_text(slot, KMS_EVENT_STATUS,
			 kms_status_is_success((KmsStatus) event->status) ? "success"
			 : "failure");
	set_text(slot, KMS_EVENT_REASON, reason);
	if (event->duration_us >= 0)
	{
		slot->tts_values[KMS_EVENT_DURATION_MS] =
			Float8GetDatum(event->duration_us / 1000.0);
		slot->tts_isnull[KMS_EVENT_DURATION_MS] = false;
	}
	set_text(slot, KMS_EVENT_KEY_ID, event->key_id);
	set_text(slot, KMS_EVENT_DEVICE_ID, event->device_id);
	set_text(slot, KMS_EVENT_SESSION_ROLE, event->session_role);
	set_text(slot, KMS_EVENT_CALLER_ROLE, event->caller_role);
	set_text(slot, KMS_EVENT_EFFECTIVE_ROLE, event->effective_role);
	slot->tts_values[KMS_EVENT_CALLS] = Int64GetDatum(event->calls);
	slot->tts_isnull[KMS_EVENT_CALLS] = false;
	set_text(slot, KMS_EVENT_FORM, event->form);
	set_text(slot, KMS_EVENT_CLIENT_ADDR, event->client_addr);
	set_text(slot, KMS_EVENT_APPLICATION_NAME, event->application_name);
	set_text(slot, KMS_EVENT_CONTEXT, event->context);
	set_text(slot, KMS_EVENT_AUDIT_CONTEXT, event->audit_context);
	link_event(slot, trail, salt);
	MemoryContextSwitchTo(caller);
	kms_rows_insert(table);
}

/* NULL and "" are null; bytes that are not text become "?". */
static void
set_text(TupleTableSlot *slot, int column, const char *value)
{
	int			len;
	text	   *datum;

	if (value == NULL || value[0] == '\0')
		return;
	len = (int) strlen(value);
	datum = cstring_to_text_with_len(value, len);
	if (!pg_verifymbstr(value, len, true))
	{
		char	   *p = VARDATA(datum);
		int			i;

		for (i = 0; i < len; i++)
		{
			if (IS_HIGHBIT_SET(p[i]))
				p[i] = '?';
		}
	}
	slot->tts_values[column] = PointerGetDatum(datum);
	slot->tts_isnull[column] = false;
}

/* The row follows the last one, and is the last one now. */
static void
link_event(TupleTableSlot *slot, KmsTrail *trail, const unsigned char *salt)
{
	KmsChainEvent event;
	unsigned char commitment[KMS_CHAIN_SIZE];
	unsigned char stored[KMS_CHAIN_STORED_SIZE];

	kms_link_event(slot->tts_values, slot->tts_isnull, &event);
	check_link(kms_chain_commit_event(&event, salt, commitment));
	check_link(kms_chain_event(trail->hash, &event, commitment, trail->hash));
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
make_salts(unsigned char *salts, int count)
{
	if (!pg_strong_random(salts, count * KMS_CHAIN_SALT_SIZE))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random salts for the trail"),
				 KMS_HIDE_STATEMENT));
}

static void
check_link(KmsStatus status)
{
	if (status != KMS_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not chain an event of the trail"),
				 KMS_HIDE_STATEMENT));
}

static void
count_event(Counts *counts, const KmsEvent *event)
{
	TimestampTz minute = kms_metric_bucket(time_of(event), KMS_METRIC_MINUTE);
	bool		success = kms_status_is_success((KmsStatus) event->status);
	int			status = success ? KMS_OK : event->status;
	Count	   *item = NULL;
	int			i;

	/* mostly the same as the one before */
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

/* Columns as kms_event_table_move_outbox selects them. */
static void
read_outbox_row(uint64 row, KmsEvent *event)
{
	char		operation[64] = "";
	Datum		value;
	bool		isnull;

	value = kms_spi_field(row, 1, &isnull);
	event->occurred_at = isnull ? 0 : DatumGetTimestampTz(value);
	copy_field(row, 2, operation, sizeof(operation));
	event->operation = (uint8_t) operation_number(operation);
	event->status = KMS_OK;
	copy_field(row, 3, event->context, sizeof(event->context));
	value = kms_spi_field(row, 4, &isnull);
	event->duration_us = isnull ? -1 :
		(int64) (DatumGetFloat8(value) * 1000.0 + 0.5);
	copy_field(row, 5, event->key_id, sizeof(event->key_id));
	copy_field(row, 6, event->device_id, sizeof(event->device_id));
	copy_field(row, 7, event->session_role, sizeof(event->session_role));
	copy_field(row, 8, event->effective_role, sizeof(event->effective_role));
	copy_field(row, 9, event->client_addr, sizeof(event->client_addr));
	copy_field(row, 10, event->application_name,
			   sizeof(event->application_name));
	copy_field(row, 11, event->audit_context, sizeof(event->audit_context));
	copy_field(row, 12, event->caller_role, sizeof(event->caller_role));
	value = kms_spi_field(row, 13, &isnull);
	event->calls = isnull ? 1 : DatumGetInt64(value);
	copy_field(row, 14, event->form, sizeof(event->form));
}

static void
copy_field(uint64 row, int column, char *out, size_t size)
{
	char	   *value = field_text(row, column);
	int			len = (int) strlen(value);

	if (len >= (int) size)
		len = pg_mbcliplen(value, len, (int) size - 1);
	memcpy(out, value, len);
	out[len] = '\0';
}

static int
operation_number(const char *name)
{
	int			i;

	for (i = 1; i < KMS_OPERATION_COUNT; i++)
	{
		if (strcmp(kms_event_operation_name(i), name) == 0)
			return i;
	}
	return 0;
}

static void
insert_quarantine(KmsTrail *trail, const char *error, const char *data,
				  size_t len)
{
	static SPIPlanPtr plan = NULL;
	unsigned char salt[KMS_CHAIN_SALT_SIZE];
	unsigned char stored[KMS_CHAIN_STORED_SIZE];
	KmsSpi		spi;

	make_salts(salt, 1);
	trail->last_ticket++;
	kms_spi_begin(&spi);
	kms_spi_int64(&spi, trail->epoch);
	kms_spi_int64(&spi, trail->last_ticket);
	kms_spi_time(&spi, GetCurrentTimestamp());
	kms_spi_text(&spi, error);
	kms_spi_bytes(&spi, (const unsigned char *) data, len);
	link_aside(&spi, trail, salt);
	kms_link_write_hash(trail->hash, stored);
	kms_spi_bytes(&spi, salt, sizeof(salt));
	kms_spi_bytes(&spi, stored, sizeof(stored));
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.event_quarantine"
				" (epoch, ticket, set_aside_at, error, event, salt, hash)"
				" VALUES ($1, $2, $3, $4, $5, $6, $7)",
				SPI_OK_INSERT);
	kms_spi_end(&spi);
}

/* The parameters so far are the columns of the row, in order. */
static void
link_aside(const KmsSpi *spi, KmsTrail *trail, const unsigned char *salt)
{
	static const bool isnull[KMS_ASIDE_COLUMNS] = {false};
	KmsChainAside aside;
	unsigned char commitment[KMS_CHAIN_SIZE];

	kms_link_aside(spi->values, isnull, &aside);
	check_link(kms_chain_commit_aside(&aside, salt, commitment));
	check_link(kms_chain_aside(trail->hash, &aside, commitment, trail->hash));
}

/* "" for null. */
static char *
field_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = kms_spi_field(row, column, &isnull);

	return isnull ? pstrdup("") : TextDatumGetCString(value);
}
