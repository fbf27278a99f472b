#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "store/problem.h"

#include "pg/settings.h"
#include "store/spi.h"

List *
kms_problem_find(double threshold_percent, int64 min_operations,
				 const KmsProblemWindow *window, bool active_only,
				 int64 limit)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext caller = CurrentMemoryContext;
	List	   *problems = NIL;
	KmsSpi		spi;
	uint64		i;

	/* times are parameters, because no index serves a volatile function */
	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_double(&spi, threshold_percent);
	kms_spi_int64(&spi, min_operations);
	kms_spi_time(&spi, window->since);
	kms_spi_datum(&spi, BOOLOID, BoolGetDatum(active_only));
	kms_spi_int64(&spi, limit);
	kms_spi_time(&spi, window->now);
	kms_spi_time(&spi, window->now - USECS_PER_DAY);
	kms_spi_time(&spi, window->upto);
	kms_spi_run(&spi, &plan,
				"SELECT p.key_id, p.device_id, p.operations, p.failures, p.rate"
				" FROM (SELECT k.key_id, k.device_id,"
				"  f.failures + s.successes AS operations,"
				"  f.failures,"
				"  100.0::pg_catalog.float8 * f.failures::pg_catalog.float8 /"
				"   (f.failures + s.successes)::pg_catalog.float8 AS rate"
				"  FROM (SELECT e.key_id, pg_catalog.sum(e.calls)::pg_catalog.int8 AS failures"
				"   FROM kms.event AS e"
				"   WHERE e.operation = 'decrypt'"
				"   AND e.status = 'failure'"
				"   AND e.reason = 'Failed to decrypt data'"
				"   AND e.occurred_at >= $3"
				"   AND e.occurred_at <= $8"
				"   GROUP BY e.key_id) AS f"
				"  JOIN kms.key AS k"
				"   ON k.key_id = f.key_id,"
				"  LATERAL (SELECT COALESCE(pg_catalog.sum(e.calls), 0)::pg_catalog.int8 AS successes"
				"   FROM kms.event AS e"
				"   WHERE e.key_id = f.key_id"
				"   AND e.operation = 'decrypt'"
				"   AND e.status = 'success'"
				"   AND e.occurred_at >= $3"
				"   AND e.occurred_at <= $8) AS s"
				"  WHERE NOT $4 OR (k.state = 'active'"
				"   AND k.expires_at > $6"
				"   AND NOT EXISTS (SELECT 1 FROM kms.key AS r"
				"    WHERE r.device_id = k.device_id"
				"    AND r.state_reason = 'Problematic'"
				"    AND r.state <> 'revoked'"
				"    AND r.prior_state IS DISTINCT FROM 'revoked'"
				"    AND r.state_changed_at > $7"
				"    AND r.state_changed_at <= $8))) AS p"
				" WHERE p.rate > $1"
				" AND p.operations >= $2"
				" ORDER BY p.rate DESC, p.failures DESC, p.key_id LIMIT $5",
				SPI_OK_SELECT);
	for (i = 0; i < spi.processed; i++)
	{
		KmsProblem *problem = MemoryContextAllocZero(caller, sizeof(KmsProblem));
		MemoryContext old;
		bool		isnull;

		text_to_cstring_buffer(DatumGetTextPP(kms_spi_field(i, 1, &isnull)),
							   problem->key_id, sizeof(problem->key_id));
		text_to_cstring_buffer(DatumGetTextPP(kms_spi_field(i, 2, &isnull)),
							   problem->device_id, sizeof(problem->device_id));
		problem->operations = DatumGetInt64(kms_spi_field(i, 3, &isnull));
		problem->failures = DatumGetInt64(kms_spi_field(i, 4, &isnull));
		problem->rate = DatumGetFloat8(kms_spi_field(i, 5, &isnull));
		old = MemoryContextSwitchTo(caller);
		problems = lappend(problems, problem);
		MemoryContextSwitchTo(old);
	}
	kms_spi_end(&spi);
	return problems;
}

bool
kms_problem_recent(const char *device_id, const KmsProblemWindow *window)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		recent;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_text(&spi, device_id);
	kms_spi_time(&spi, window->now - USECS_PER_DAY);
	kms_spi_time(&spi, window->upto);
	kms_spi_run(&spi, &plan,
				"SELECT 1 FROM kms.key"
				" WHERE device_id = $1"
				" AND state_reason = 'Problematic'"
				" AND state <> 'revoked'"
				" AND prior_state IS DISTINCT FROM 'revoked'"
				" AND state_changed_at > $2"
				" AND state_changed_at <= $3 LIMIT 1",
				SPI_OK_SELECT);
	recent = spi.processed > 0;
	kms_spi_end(&spi);
	return recent;
}

bool
kms_problem_is_unknown(const KmsProblemWindow *window)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		unknown;

	if (kms_event_detail != KMS_DETAIL_ALL)
		return true;
	kms_spi_begin(&spi);
	kms_spi_time(&spi, window->since);
	kms_spi_time(&spi, window->upto);
	kms_spi_run(&spi, &plan,
				"SELECT 1 FROM kms.event_epoch"
				" WHERE left_out_at >= $1"
				" AND left_out_at <= $2 LIMIT 1",
				SPI_OK_SELECT);
	unknown = spi.processed > 0;
	kms_spi_end(&spi);
	return unknown;
}
