#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/due.h"

#include "pg/settings.h"
#include "store/spi.h"

/*
 * The queries. $1 is the time, $2 the limit, $3 the retention, $4 the
 * percentage of a sample.  A key that failed is retried after all keys that
 * were never tried, so that it does not block them.
 *
 * If the master key of an expired key is lost, its row never becomes
 * "deprecated".  It is purged like one that did.
 *
 * The planner does not know how many keys are due, because statistics may be
 * older than the rows.  So the statement contains the most that a sweep finds
 * as a number: every plan then follows an index and stops early.
 */
#define EXPIRED(state) \
	" state = '" state "'" \
	" AND expires_at <= $1"
#define PAST_RETENTION(state) \
	" state = '" state "'" \
	" AND expires_at <= ($1 - $3)"
#define REVOKED_UNDATED PAST_RETENTION("revoked") " AND delete_at IS NULL"
#define SCHEDULED \
	" state =" \
	" ANY ('{revoked,pending_deletion}'::pg_catalog.text[])" \
	" AND delete_at <= $1"
#define UNTRIED(condition, order) \
	"(SELECT key_id, false FROM kms.key WHERE" condition \
	" AND tried_at IS NULL ORDER BY " order \
	" LIMIT " CppAsString2(KMS_SWEEP_MAX) ")"
#define TRIED(condition) \
	"(SELECT key_id, true FROM kms.key WHERE tried_at IS NOT NULL" \
	" AND (" condition ") ORDER BY tried_at LIMIT $2)"
#define COUNTED(condition, order) \
	"(SELECT 1 FROM kms.key WHERE" condition \
	" ORDER BY " order " LIMIT $2)"
#define UNTRIED_PURGE \
	UNTRIED(PAST_RETENTION("deprecated"), "expires_at") " UNION ALL " \
	UNTRIED(REVOKED_UNDATED, "expires_at") " UNION ALL " \
	UNTRIED(PAST_RETENTION("active"), "expires_at") " UNION ALL " \
	UNTRIED(SCHEDULED, "delete_at")
#define ANY_PURGE \
	"(" PAST_RETENTION("deprecated") ") OR (" REVOKED_UNDATED \
	") OR (" PAST_RETENTION("active") ") OR (" SCHEDULED ")"

/* a sample of a table that is too large to sort */
#define SAMPLE_OF_MANY	(KMS_SWEEP_SAMPLE + 1)
#define SAMPLE_SORTED_MAX		100000	/* keys */
#define SAMPLE_ROWS				3000	/* rows that are read, at least,
										 * because whole pages are sampled */

static const char *const queries[] = {
	[KMS_SWEEP_EXPIRED] =
	UNTRIED(EXPIRED("active"), "expires_at") " UNION ALL "
	TRIED(EXPIRED("active"))
	" LIMIT $2",
	[KMS_SWEEP_PURGE] =
	UNTRIED_PURGE " UNION ALL "
	TRIED(ANY_PURGE)
	" LIMIT $2",
	[KMS_SWEEP_SAMPLE] =
	"SELECT key_id, false FROM kms.key ORDER BY pg_catalog.random() LIMIT $2",
	[SAMPLE_OF_MANY] =
	("SELECT key_id, false FROM (SELECT key_id FROM kms.key"
	 " TABLESAMPLE SYSTEM ($4)) AS sample ORDER BY pg_catalog.random() LIMIT $2")
};

static int64 count(SPIPlanPtr *plan, const char *query, TimestampTz now,
				   int64 limit);

static void
bind_parameters(KmsSpi *spi, TimestampTz now, int64 limit)
{
	kms_spi_time(spi, now);
	kms_spi_int64(spi, limit);
	kms_spi_seconds(spi, kms_key_retention);
}

List *
kms_due_find(KmsSweep what, TimestampTz now, int limit, int *untried)
{
	static SPIPlanPtr plans[lengthof(queries)];
	MemoryContext caller = CurrentMemoryContext;
	int			query = what;
	double		percent = 100.0;
	List	   *ids = NIL;
	KmsSpi		spi;
	uint64		i;

	if (what == KMS_SWEEP_SAMPLE && kms_due_key_count() > SAMPLE_SORTED_MAX)
	{
		query = SAMPLE_OF_MANY;
		percent = Min(100.0, 100.0 * Max(SAMPLE_ROWS, 3 * limit) /
					  kms_due_key_count());
	}
	if (untried != NULL)
		*untried = 0;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	bind_parameters(&spi, now, limit);
	kms_spi_datum(&spi, FLOAT4OID, Float4GetDatum((float4) percent));
	kms_spi_run(&spi, &plans[query], queries[query], SPI_OK_SELECT);
	for (i = 0; i < spi.processed; i++)
	{
		bool		isnull;
		Datum		id = kms_spi_field(i, 1, &isnull);
		bool		tried = DatumGetBool(kms_spi_field(i, 2, &isnull));
		MemoryContext old = MemoryContextSwitchTo(caller);

		ids = lappend(ids, TextDatumGetCString(id));
		MemoryContextSwitchTo(old);
		if (!tried && untried != NULL)
			(*untried)++;
	}
	kms_spi_end(&spi);
	return ids;
}

/*
 * Neither tried_at nor delete_at is in the index of what is past its
 * retention, so count by an index-only scan and subtract the few that were
 * tried, and the few revoked ones that have a date of their own.
 */
int64
kms_due_purge_count(TimestampTz now, int64 limit)
{
	static SPIPlanPtr others_plan = NULL;
	static SPIPlanPtr due_plan = NULL;
	int64		others;

	others = count(&others_plan, "SELECT (SELECT pg_catalog.count(*)"
				   " FROM kms.key"
				   " WHERE tried_at IS NOT NULL AND (" ANY_PURGE "))"
				   " + (SELECT pg_catalog.count(*)"
				   " FROM kms.key WHERE delete_at IS NOT NULL AND"
				   PAST_RETENTION("revoked") ")",
				   now, limit);
	return count(&due_plan, "SELECT pg_catalog.count(*) FROM ("
				 COUNTED(PAST_RETENTION("deprecated"), "expires_at")
				 " UNION ALL " COUNTED(PAST_RETENTION("revoked"), "expires_at")
				 " UNION ALL " COUNTED(PAST_RETENTION("active"), "expires_at")
				 " UNION ALL " COUNTED(SCHEDULED, "delete_at") ") AS due",
				 now, limit + others) - others;
}

static int64
count(SPIPlanPtr *plan, const char *query, TimestampTz now, int64 limit)
{
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	bind_parameters(&spi, now, limit);
	kms_spi_run(&spi, plan, query, SPI_OK_SELECT);
	return kms_spi_end_with_int64(&spi, 0);
}

void
kms_due_mark_tried(const char *key_id, TimestampTz now)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, key_id);
	kms_spi_time(&spi, now);
	kms_spi_run(&spi, &plan,
				"UPDATE kms.key SET tried_at = $2"
				" WHERE key_id = $1",
				SPI_OK_UPDATE);
	kms_spi_end(&spi);
}

int64
kms_due_key_count(void)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_run(&spi, &plan,
				"SELECT CASE WHEN c.reltuples > 100000"
				" THEN c.reltuples::pg_catalog.int8"
				" ELSE (SELECT pg_catalog.count(*) FROM kms.key) END"
				" FROM pg_catalog.pg_class AS c"
				" WHERE c.oid = 'kms.key'::pg_catalog.regclass::pg_catalog.oid",
				SPI_OK_SELECT);
	return kms_spi_end_with_int64(&spi, 0);
}
