#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "store/outbox_table.h"

#include "store/latest.h"
#include "store/link.h"
#include "store/quarantine_table.h"
#include "store/spi.h"

static char *make_insert_query(void);
static char *make_blank_query(void);
static char *make_move_query(void);
static bool is_column(const KmsEventField *field);
static void append_columns(StringInfo query);
static void read_row(uint64 row, KmsEvent *event);

void
kms_outbox_table_insert(const KmsEvent *event)
{
	static SPIPlanPtr plan = NULL;
	static char *query = NULL;
	KmsSpi		spi;
	int			i;

	if (query == NULL)
		query = make_insert_query();
	kms_spi_begin(&spi);
	for (i = 0; i < kms_event_field_count; i++)
	{
		const KmsEventField *field = &kms_event_fields[i];
		bool		isnull;
		Datum		value;

		if (!is_column(field))
			continue;
		value = kms_link_value(event, field, &isnull);
		if (isnull)
			kms_spi_null(&spi, kms_link_type(field));
		else
			kms_spi_datum(&spi, kms_link_type(field), value);
	}
	kms_spi_run(&spi, &plan, query, SPI_OK_INSERT);
	kms_spi_end(&spi);
}

TimestampTz
kms_outbox_table_oldest(void)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_run(&spi, &plan,
				"SELECT occurred_at FROM kms.event_outbox"
				" ORDER BY event_id LIMIT 1",
				SPI_OK_SELECT);
	return kms_spi_end_with_int64(&spi, 0);
}

int64
kms_outbox_table_blank(const char *device_id)
{
	static SPIPlanPtr plan = NULL;
	static char *query = NULL;
	KmsSpi		spi;
	int64		count;

	if (query == NULL)
		query = make_blank_query();
	kms_spi_begin(&spi);
	kms_spi_text(&spi, device_id);
	kms_spi_run(&spi, &plan, query, SPI_OK_UPDATE);
	count = (int64) spi.processed;
	kms_spi_end(&spi);
	return count;
}

int
kms_outbox_table_move(KmsTrail *trail, KmsEvent *events, int limit)
{
	static SPIPlanPtr plan = NULL;
	static char *query = NULL;
	KmsSpi		spi;
	int			count;
	int			i;

	if (!kms_latest_outbox())
		return 0;
	if (query == NULL)
		query = make_move_query();
	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan, query, SPI_OK_SELECT);
	count = (int) spi.processed;
	memset(events, 0, count * sizeof(KmsEvent));
	for (i = 0; i < count; i++)
		read_row(i, &events[i]);
	kms_spi_end(&spi);

	if (count > 0)
		kms_event_table_append(trail, events, count);
	return count;
}

bool
kms_outbox_table_quarantine(KmsTrail *trail, const char *error)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext caller = CurrentMemoryContext;
	char	   *row = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_run(&spi, &plan,
				"DELETE FROM kms.event_outbox AS o"
				" WHERE event_id ="
				" (SELECT event_id FROM kms.event_outbox"
				" ORDER BY event_id LIMIT 1 FOR UPDATE SKIP LOCKED)"
				" RETURNING pg_catalog.row_to_json(o)::pg_catalog.text",
				SPI_OK_DELETE_RETURNING);
	if (spi.processed > 0)
	{
		bool		isnull;
		Datum		json = kms_spi_field(0, 1, &isnull);

		row = MemoryContextStrdup(caller, TextDatumGetCString(json));
	}
	kms_spi_end(&spi);

	if (row != NULL)
		kms_quarantine_table_insert(trail, row, strlen(row), error);
	return row != NULL;
}

/* This and the following queries are made once, for the session. */
static char *
make_insert_query(void)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	StringInfoData query;
	int			parameter = 0;
	int			i;

	initStringInfo(&query);
	appendStringInfoString(&query, "INSERT INTO kms.event_outbox (");
	append_columns(&query);
	appendStringInfoString(&query, ") VALUES (");
	for (i = 0; i < kms_event_field_count; i++)
	{
		if (!is_column(&kms_event_fields[i]))
			continue;
		parameter++;
		appendStringInfo(&query, "%s$%d", parameter > 1 ? ", " : "",
						 parameter);
	}
	appendStringInfoChar(&query, ')');
	MemoryContextSwitchTo(caller);
	return query.data;
}

/* Every row is a success, so its reason is the caller's text. */
static char *
make_blank_query(void)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	StringInfoData query;
	const char *separator = "";
	int			i;

	initStringInfo(&query);
	appendStringInfoString(&query, "UPDATE kms.event_outbox SET");
	for (i = 0; i < kms_event_field_count; i++)
	{
		const KmsEventField *field = &kms_event_fields[i];

		if (field->cover != KMS_CHAIN_PERSONAL &&
			field->cover != KMS_CHAIN_REASON)
			continue;
		appendStringInfo(&query, "%s %s = NULL", separator, field->name);
		separator = ",";
	}
	appendStringInfoString(&query, " WHERE device_id = $1");
	MemoryContextSwitchTo(caller);
	return query.data;
}

/*
 * If the sequence has not given any ids, the rows come from a restore that is
 * not complete.  They wait, because without kms.event_epoch tickets would
 * begin at 1 again, and rows of kms.metric that are counted now would conflict
 * with rows that are still to be restored.
 */
static char *
make_move_query(void)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	StringInfoData query;

	initStringInfo(&query);
	appendStringInfoString(&query,
						   "WITH moved AS (DELETE FROM kms.event_outbox"
						   " WHERE event_id = ANY (ARRAY("
						   "SELECT event_id FROM kms.event_outbox"
						   " WHERE (SELECT is_called FROM kms.event_outbox_event_id_seq)"
						   " ORDER BY event_id LIMIT $1 FOR UPDATE SKIP LOCKED))"
						   " RETURNING event_id, ");
	append_columns(&query);
	appendStringInfoString(&query, ") SELECT ");
	append_columns(&query);
	appendStringInfoString(&query, " FROM moved ORDER BY event_id");
	MemoryContextSwitchTo(caller);
	return query.data;
}

/*
 * Return whether the table has the column.  It has no status, because every
 * change in it has succeeded.
 */
static bool
is_column(const KmsEventField *field)
{
	return field->kind != KMS_FIELD_STATUS;
}

static void
append_columns(StringInfo query)
{
	const char *separator = "";
	int			i;

	for (i = 0; i < kms_event_field_count; i++)
	{
		if (!is_column(&kms_event_fields[i]))
			continue;
		appendStringInfo(query, "%s%s", separator, kms_event_fields[i].name);
		separator = ", ";
	}
}

/* Fill a zeroed event.  The columns are those of append_columns. */
static void
read_row(uint64 row, KmsEvent *event)
{
	int			column = 0;
	int			i;

	event->status = KMS_OK;
	for (i = 0; i < kms_event_field_count; i++)
	{
		const KmsEventField *field = &kms_event_fields[i];
		bool		isnull;
		Datum		value;

		if (!is_column(field))
			continue;
		column++;
		value = kms_spi_field(row, column, &isnull);
		kms_link_read_value(event, field, value, isnull);
	}
}
