#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/checkpoint_table.h"

#include "pg/catalog.h"
#include "pg/compat.h"
#include "pg/lock.h"
#include "store/link.h"
#include "store/scan.h"
#include "store/spi.h"

/* Columns of kms.event_checkpoint, in order. */
enum
{
	CHECKPOINT_TICKET,
	CHECKPOINT_KIND,
	CHECKPOINT_EPOCH,
	CHECKPOINT_HASH,
	CHECKPOINT_PREVIOUS,
	CHECKPOINT_SIGNED_AT,
	CHECKPOINT_SIGNING_KEY_ID,
	CHECKPOINT_SIGNATURE,
	CHECKPOINT_ABLE_SINCE
};

#define COLUMNS \
	"ticket, kind, epoch, hash, previous, signed_at, signing_key_id, signature," \
	" able_since"

/* The rows after the last start ($1) and up to the next one ($2). */
#define PREFIX \
	" WHERE ticket > $1" \
	" AND ticket <= $2"

static bool is_kind(const text *name, KmsCheckpointKind kind);
static List *fetch(const KmsSpi *spi);
static int64 count_prefix(SPIPlanPtr *plan, const char *query, int64 after,
						  int64 upto);
static int64 run_on_prefix(SPIPlanPtr *plan, const char *query, int expected,
						   int64 after, int64 upto);

void
kms_checkpoint_table_read(const Datum *values, const bool *isnull,
						  KmsCheckpoint *checkpoint)
{
	const text *kind;
	unsigned char id[KMS_SERVICE_ID_MAX];
	size_t		len;

	memset(checkpoint, 0, sizeof(*checkpoint));
	checkpoint->ticket = DatumGetInt64(values[CHECKPOINT_TICKET]);
	kind = DatumGetTextPP(values[CHECKPOINT_KIND]); /* never NULL */
	checkpoint->kind = is_kind(kind, KMS_CHECKPOINT_START) ?
		KMS_CHECKPOINT_START : is_kind(kind, KMS_CHECKPOINT_ACCEPTANCE) ?
		KMS_CHECKPOINT_ACCEPTANCE : KMS_CHECKPOINT_ROW;
	checkpoint->epoch = DatumGetInt64(values[CHECKPOINT_EPOCH]);
	(void) kms_scan_bytes(values[CHECKPOINT_HASH], isnull[CHECKPOINT_HASH],
						  checkpoint->hash, sizeof(checkpoint->hash));
	checkpoint->previous = DatumGetInt64(values[CHECKPOINT_PREVIOUS]);
	checkpoint->signed_at =
		DatumGetTimestampTz(values[CHECKPOINT_SIGNED_AT]);
	checkpoint->able_since = isnull[CHECKPOINT_ABLE_SINCE] ? 0 :
		DatumGetTimestampTz(values[CHECKPOINT_ABLE_SINCE]);
	if (isnull[CHECKPOINT_SIGNING_KEY_ID])
		return;
	len = kms_scan_bytes(values[CHECKPOINT_SIGNING_KEY_ID], false, id,
						 sizeof(id));
	if (kms_key_id_valid_service((const char *) id, len))
		memcpy(checkpoint->signing_key_id, id, len);
	(void) kms_scan_bytes(values[CHECKPOINT_SIGNATURE],
						  isnull[CHECKPOINT_SIGNATURE], checkpoint->signature,
						  sizeof(checkpoint->signature));
}

static bool
is_kind(const text *name, KmsCheckpointKind kind)
{
	const char *expected = kms_checkpoint_table_kind_name(kind);

	return VARSIZE_ANY_EXHDR(name) == strlen(expected) &&
		memcmp(VARDATA_ANY(name), expected, strlen(expected)) == 0;
}

const char *
kms_checkpoint_table_kind_name(KmsCheckpointKind kind)
{
	static const char *const names[] = {
		[KMS_CHECKPOINT_ACCEPTANCE] = "acceptance",
		[KMS_CHECKPOINT_ROW] = "checkpoint",
		[KMS_CHECKPOINT_START] = "start",
	};

	return names[kind];
}

List *
kms_checkpoint_table_after(int64 ticket)
{
	static SPIPlanPtr plan = NULL;
	List	   *found;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_int64(&spi, ticket);
	kms_spi_run(&spi, &plan,
				"SELECT " COLUMNS " FROM kms.event_checkpoint"
				" WHERE ticket > $1"
				" ORDER BY ticket, kind",
				SPI_OK_SELECT);
	found = fetch(&spi);
	kms_spi_end(&spi);
	return found;
}

/*
 * There is one checkpoint for 10,000 events or a minute, so sorting them is
 * cheap.
 */
List *
kms_checkpoint_table_newest(TimestampTz upto, int limit)
{
	static SPIPlanPtr plan = NULL;
	List	   *found;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_time(&spi, upto);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"SELECT " COLUMNS " FROM kms.event_checkpoint"
				" WHERE signed_at <= $1"
				" ORDER BY signed_at DESC LIMIT $2",
				SPI_OK_SELECT);
	found = fetch(&spi);
	kms_spi_end(&spi);
	return found;
}

List *
kms_checkpoint_table_candidates(int64 start, int64 span, TimestampTz signed_before,
								List *signing_key_ids)
{
	static SPIPlanPtr plans[2];
	static const char *const queries[] = {
		"SELECT " COLUMNS " FROM kms.event_checkpoint" PREFIX
		" AND kind = 'checkpoint'"
		" AND signed_at < $3"
		" AND signing_key_id = ANY ($4)"
		" ORDER BY ticket DESC LIMIT 10",
		"SELECT " COLUMNS " FROM kms.event_checkpoint"
		" WHERE ticket > $2"
		" AND ticket > $1"
		" AND kind = 'checkpoint'"
		" AND signed_at < $3"
		" AND signing_key_id = ANY ($4)"
		" ORDER BY ticket LIMIT 10"
	};
	List	   *found = NIL;
	int			i;

	for (i = 0; found == NIL && i < (int) lengthof(queries); i++)
	{
		KmsSpi		spi;

		kms_spi_begin(&spi);
		kms_spi_by_index(&spi);
		kms_spi_int64(&spi, start);
		kms_spi_int64(&spi, start + span);
		kms_spi_time(&spi, signed_before);
		kms_spi_text_array(&spi, signing_key_ids);
		kms_spi_run(&spi, &plans[i], queries[i], SPI_OK_SELECT);
		found = fetch(&spi);
		kms_spi_end(&spi);
	}
	return found;
}

/* Return the rows in the caller's memory context. */
static List *
fetch(const KmsSpi *spi)
{
	MemoryContext old = MemoryContextSwitchTo(spi->caller);
	List	   *found = NIL;
	uint64		row;

	for (row = 0; row < spi->processed; row++)
	{
		KmsCheckpoint *checkpoint = palloc(sizeof(KmsCheckpoint));
		Datum		values[KMS_CHECKPOINT_COLUMNS];
		bool		isnull[KMS_CHECKPOINT_COLUMNS];
		int			i;

		for (i = 0; i < KMS_CHECKPOINT_COLUMNS; i++)
			values[i] = kms_spi_field(row, i + 1, &isnull[i]);
		kms_checkpoint_table_read(values, isnull, checkpoint);
		found = lappend(found, checkpoint);
	}
	MemoryContextSwitchTo(old);
	return found;
}

bool
kms_checkpoint_table_fill(int64 ticket, KmsCheckpoint *checkpoint)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		found = false;

	checkpoint->ticket = ticket;
	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_int64(&spi, ticket);
	kms_spi_run(&spi, &plan,
				"SELECT epoch, hash FROM kms.event"
				" WHERE ticket = $1"
				" UNION ALL SELECT epoch, hash FROM kms.event_quarantine"
				" WHERE ticket = $1",
				SPI_OK_SELECT);
	if (spi.processed == 1)
	{
		bool		isnull;
		Datum		hash = kms_spi_field(0, 2, &isnull);

		found = kms_link_read_hash(hash, isnull, checkpoint->hash);
		checkpoint->epoch = DatumGetInt64(kms_spi_field(0, 1, &isnull));
	}
	kms_spi_end(&spi);
	return found;
}

bool
kms_checkpoint_table_try_lock(void)
{
	return ConditionalLockRelationOid(kms_link_relation("event_checkpoint"),
									  RowExclusiveLock);
}

void
kms_checkpoint_table_insert(const KmsCheckpoint *checkpoint)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_int64(&spi, checkpoint->ticket);
	kms_spi_text(&spi, kms_checkpoint_table_kind_name(checkpoint->kind));
	kms_spi_int64(&spi, checkpoint->epoch);
	kms_spi_bytes(&spi, checkpoint->hash, sizeof(checkpoint->hash));
	kms_spi_int64(&spi, checkpoint->previous);
	kms_spi_time(&spi, checkpoint->signed_at);
	kms_spi_text(&spi, checkpoint->signing_key_id);
	kms_spi_bytes(&spi, checkpoint->signature, sizeof(checkpoint->signature));
	kms_spi_time(&spi, checkpoint->able_since);
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.event_checkpoint (" COLUMNS ")"
				" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
				" ON CONFLICT (ticket, kind) DO UPDATE SET epoch = $3,"
				" hash = $4, previous = $5, signed_at = $6,"
				" signing_key_id = $7, signature = $8, able_since = $9",
				SPI_OK_INSERT);
	kms_spi_end(&spi);
}

void
kms_checkpoint_table_clear(int64 after, int64 before)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_int64(&spi, after);
	kms_spi_int64(&spi, before);
	kms_spi_run(&spi, &plan,
				"DELETE FROM kms.event_checkpoint"
				" WHERE ticket > $1"
				" AND ticket < $2",
				SPI_OK_DELETE);
	kms_spi_end(&spi);
}

/*
 * Most checkpoints were signed shortly after the one before, so the events
 * between the two need not be read.
 */
int64
kms_checkpoint_table_late(int seconds)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_seconds(&spi, seconds);
	kms_spi_run(&spi, &plan,
				"SELECT COALESCE(pg_catalog.sum(e.late), 0)::pg_catalog.int8"
				" FROM (SELECT ticket, kind, signed_at, able_since,"
				"  pg_catalog.lag(ticket, 1, 0::pg_catalog.int8) OVER w AS after,"
				"  pg_catalog.lag(signed_at, 1, '-infinity') OVER w AS signed_before"
				"  FROM kms.event_checkpoint"
				"  WINDOW w AS (ORDER BY ticket, kind)) AS c,"
				" LATERAL (SELECT pg_catalog.count(*) AS late FROM kms.event AS e"
				"  WHERE e.ticket > c.after"
				"  AND e.ticket <= c.ticket"
				"  AND e.occurred_at < (c.signed_at - $1)) AS e"
				" WHERE c.kind = 'checkpoint'"
				" AND c.signed_before <  (c.signed_at - $1)"
				" AND c.able_since <  (c.signed_at - $1)",
				SPI_OK_SELECT);
	return kms_spi_end_with_int64(&spi, 0);
}

bool
kms_checkpoint_table_lock_start(void)
{
	return kms_lock_try_extension(kms_catalog()->extension, KMS_LOCK_START);
}

/* Lock every row first; if another session holds one, delete nothing. */
int64
kms_checkpoint_table_trim(int64 after, int64 upto, int64 *busy)
{
	static SPIPlanPtr lock_plan = NULL;
	static SPIPlanPtr lock_quarantine_plan = NULL;
	static SPIPlanPtr count_plan = NULL;
	static SPIPlanPtr event_plan = NULL;
	static SPIPlanPtr quarantine_plan = NULL;
	static SPIPlanPtr plan = NULL;
	int64		locked;
	int64		deleted;

	locked = count_prefix(&lock_plan,
						  "SELECT pg_catalog.count(*) FROM"
						  " (SELECT 1 FROM kms.event" PREFIX
						  " FOR UPDATE SKIP LOCKED) AS e",
						  after, upto) +
		count_prefix(&lock_quarantine_plan,
					 "SELECT pg_catalog.count(*) FROM"
					 " (SELECT 1 FROM kms.event_quarantine" PREFIX
					 " FOR UPDATE SKIP LOCKED) AS q",
					 after, upto);
	*busy = count_prefix(&count_plan,
						 "SELECT pg_catalog.count(*) FROM"
						 " (SELECT 1 FROM kms.event" PREFIX
						 " UNION ALL SELECT 1 FROM kms.event_quarantine" PREFIX
						 ") AS t",
						 after, upto) - locked;
	if (*busy != 0)
		return 0;
	deleted = run_on_prefix(&event_plan, "DELETE FROM kms.event" PREFIX,
							SPI_OK_DELETE, after, upto);
	deleted += run_on_prefix(&quarantine_plan,
							 "DELETE FROM kms.event_quarantine" PREFIX,
							 SPI_OK_DELETE, after, upto);
	(void) run_on_prefix(&plan,
						 "DELETE FROM kms.event_checkpoint"
						 " WHERE ticket >= $1"
						 " AND ticket < $2",
						 SPI_OK_DELETE, after, upto);
	return deleted;
}

/* Run a query that counts, and return its result. */
static int64
count_prefix(SPIPlanPtr *plan, const char *query, int64 after, int64 upto)
{
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_int64(&spi, after);
	kms_spi_int64(&spi, upto);
	kms_spi_run(&spi, plan, query, SPI_OK_SELECT);
	return kms_spi_end_with_int64(&spi, 0);
}

/* Run a statement, and return how many rows it processed. */
static int64
run_on_prefix(SPIPlanPtr *plan, const char *query, int expected, int64 after,
			  int64 upto)
{
	KmsSpi		spi;
	int64		count;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_int64(&spi, after);
	kms_spi_int64(&spi, upto);
	kms_spi_run(&spi, plan, query, expected);
	count = (int64) spi.processed;
	kms_spi_end(&spi);
	return count;
}

TimestampTz
kms_checkpoint_table_last(int64 *ticket)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		isnull;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_run(&spi, &plan,
				"SELECT signed_at, ticket FROM kms.event_checkpoint"
				" ORDER BY ticket DESC, kind DESC LIMIT 1",
				SPI_OK_SELECT);
	*ticket = spi.processed == 0 ? 0 :
		DatumGetInt64(kms_spi_field(0, 2, &isnull));
	return kms_spi_end_with_int64(&spi, 0);
}

int64
kms_checkpoint_table_newest_row(void)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_run(&spi, &plan,
				"SELECT ticket FROM kms.event ORDER BY ticket DESC LIMIT 1",
				SPI_OK_SELECT);
	return kms_spi_end_with_int64(&spi, 0);
}

int64
kms_checkpoint_table_first_event(int64 after, int64 upto, TimestampTz earliest,
								 TimestampTz latest)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_int64(&spi, after);
	kms_spi_int64(&spi, upto);
	kms_spi_time(&spi, earliest);
	kms_spi_time(&spi, latest);
	kms_spi_run(&spi, &plan,
				"SELECT ticket FROM kms.event" PREFIX
				" AND occurred_at >= $3"
				" AND occurred_at <= $4"
				" ORDER BY ticket LIMIT 1",
				SPI_OK_SELECT);
	return kms_spi_end_with_int64(&spi, PG_INT64_MAX);
}

TimestampTz
kms_checkpoint_table_oldest_event(int64 after)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_int64(&spi, after);
	kms_spi_run(&spi, &plan,
				"SELECT occurred_at FROM kms.event"
				" WHERE ticket > $1"
				" ORDER BY ticket LIMIT 1",
				SPI_OK_SELECT);
	return kms_spi_end_with_int64(&spi, 0);
}
