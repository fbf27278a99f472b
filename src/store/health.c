#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "store/health.h"

#include "pg/compat.h"
#include "store/spi.h"

static List *texts_of_sample(SPIPlanPtr *plan, List *sample, bool by_index,
							 const char *query);
static List *add_missing(List *missing, const char *name, char kind);
static Oid	find_relation(const char *name, char kind);
static char *names(SPIPlanPtr *plan, const char *query);
static int64 number(SPIPlanPtr *plan, bool by_index, const char *query);

char *
kms_health_file_readers(void)
{
	static SPIPlanPtr plan = NULL;

	return names(&plan,
				 "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(r.rolname),"
				 " ', ' ORDER BY r.rolname) FROM pg_catalog.pg_roles AS r"
				 " WHERE NOT r.rolsuper"
				 " AND r.rolname !~~ 'pg\\_%'"
				 " AND (pg_catalog.pg_has_role(r.oid, 'pg_read_server_files', 'MEMBER')"
				 " OR pg_catalog.pg_has_role(r.oid, 'pg_execute_server_program', 'MEMBER'))");
}

char *
kms_health_referrers(void)
{
	static SPIPlanPtr plan = NULL;

	return names(&plan,
				 "SELECT pg_catalog.string_agg(pg_catalog.quote_ident(r.rolname),"
				 " ', ' ORDER BY r.rolname) FROM pg_catalog.pg_roles AS r"
				 " WHERE NOT r.rolsuper"
				 " AND r.rolname !~~ 'pg\\_%'"
				 " AND EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c"
				 "  WHERE c.relnamespace = 'kms'::pg_catalog.regnamespace::pg_catalog.oid"
				 "  AND c.relkind = 'r'"
				 "  AND pg_catalog.has_any_column_privilege(r.oid, c.oid, 'REFERENCES'))");
}

int64
kms_health_plain_sessions(void)
{
	static SPIPlanPtr plan = NULL;

	return number(&plan, false,
				  "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity AS a"
				  " JOIN pg_catalog.pg_stat_ssl AS s"
				  " ON s.pid = a.pid"
				  " WHERE a.client_addr IS NOT NULL AND NOT s.ssl"
				  " AND NOT (a.client_addr <<=  '127.0.0.0/8'::pg_catalog.inet)"
				  " AND a.client_addr <>  '::1'::pg_catalog.inet");
}

bool
kms_health_has_database_setting(const char *name)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		has;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, name);
	kms_spi_run(&spi, &plan,
				"SELECT 1 FROM pg_catalog.pg_settings"
				" WHERE name = $1"
				" AND source = ANY"
				" ('{default,environment variable,configuration file,"
				"command line,global,database}'::pg_catalog.text[])",
				SPI_OK_SELECT);
	has = spi.processed > 0;
	kms_spi_end(&spi);
	return has;
}

int64
kms_health_quarantined(void)
{
	static SPIPlanPtr plan = NULL;

	return number(&plan, false,
				  "SELECT pg_catalog.count(*) FROM kms.event_quarantine");
}

int64
kms_health_tried_keys(void)
{
	static SPIPlanPtr plan = NULL;

	return number(&plan, true,
				  "SELECT pg_catalog.count(*) FROM kms.key"
				  " WHERE tried_at IS NOT NULL");
}

int64
kms_health_denials(void)
{
	static SPIPlanPtr plan = NULL;

	return number(&plan, true,
				  "SELECT pg_catalog.count(*) FROM kms.denial AS d"
				  " WHERE EXISTS (SELECT 1 FROM kms.key AS k"
				  "  WHERE k.key_id = d.key_id)");
}

int64
kms_health_outbox(void)
{
	static SPIPlanPtr plan = NULL;

	return number(&plan, false,
				  "SELECT pg_catalog.count(*) FROM kms.event_outbox");
}

/*
 * Successful changes of keys, as the indexes of kms.event contain them:
 * event_change_idx has all of them, event_denial_idx those that deny the use
 * of a key or end that (DENIAL).  A query must repeat the predicate of the
 * index, because otherwise it scans the whole trail.
 */
#define CHANGES "generate,rotate,import,deprecate,disable,enable,revoke," \
	"schedule_deletion,cancel_deletion"
#define MAKING "generate,rotate,import"
#define END "destroy,purge"
#define DENIAL "disable,revoke,schedule_deletion,cancel_deletion"
#define AMONG(operations) \
	"e.operation = ANY ('{" operations "}'::pg_catalog.text[])"
#define SUCCESSFUL(operations) \
	"e.status = 'success' AND " AMONG(operations)
#define OF_KEY \
	"e.key_id = k.key_id AND " SUCCESSFUL(CHANGES "," END)

List *
kms_health_row_versions(bool newer, List *sample)
{
	static SPIPlanPtr plan = NULL;
	List	   *ids;
	KmsSpi		spi;


	/*
	 * Since a key was made, every version of its row, and every denial that
	 * is not applied yet, has left one event.  An event of a call that
	 * changed nothing says so in its reason, and has no context.  If the
	 * event that made the key is no longer in the trail, other events may be
	 * gone, too. A key that was denied last cannot be in use, and a key that
	 * was deleted cannot exist.  Skip keys with changes on their way to the
	 * trail.
	 */
	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_datum(&spi, BOOLOID, BoolGetDatum(newer));
	kms_spi_text_array(&spi, sample);
	kms_spi_run(&spi, &plan,
				"SELECT k.key_id FROM kms.key AS k, LATERAL"
				" (SELECT pg_catalog.max(e.ticket) AS ticket FROM kms.event AS e"
				"  WHERE " OF_KEY " AND " AMONG(MAKING) ") AS m, LATERAL"
				" (SELECT pg_catalog.count(*) AS changes,"
				"   (pg_catalog.array_agg(e.operation ORDER BY e.ticket DESC))[1]"
				"    AS operation"
				"  FROM kms.event AS e WHERE " OF_KEY " AND " AMONG(CHANGES)
				"  AND e.ticket >= COALESCE(m.ticket, 0)"
				"  AND (e.reason IS DISTINCT FROM 'No change'"
				"   OR e.context IS NOT NULL)) AS t, LATERAL"
				" (SELECT pg_catalog.count(*) AS denials FROM kms.denial AS d"
				"  WHERE d.key_id = k.key_id) AS d, LATERAL"
				" (SELECT EXISTS (SELECT 1 FROM kms.event AS e"
				"  WHERE " OF_KEY " AND " AMONG(END)
				"  AND e.ticket > COALESCE(m.ticket, 0)) AS gone) AS g,"
				" LATERAL (SELECT k.row_version + d.denials AS versions,"
				"   g.gone OR d.denials = 0 AND CASE"
				"    WHEN t.operation = 'deprecate'"
				"     THEN k.state = 'active'"
				"    WHEN t.operation = ANY"
				"     ('{" DENIAL "}'::pg_catalog.text[])"
				"     THEN k.state = ANY"
				"      ('{active,deprecated}'::pg_catalog.text[])"
				"    ELSE false END AS back) AS v"
				" WHERE k.key_id = ANY (ARRAY("
				"  SELECT e.key_id FROM kms.event AS e"
				"  WHERE " SUCCESSFUL(DENIAL) " AND e.key_id IS NOT NULL"
				"  UNION SELECT pg_catalog.unnest($2)"
				"  EXCEPT SELECT o.key_id FROM kms.event_outbox AS o))"
				" AND CASE WHEN $1 THEN m.ticket IS NOT NULL"
				"   AND t.changes < v.versions"
				"  ELSE t.changes > v.versions OR v.back END"
				" ORDER BY k.key_id LIMIT 10",
				SPI_OK_SELECT);
	ids = kms_spi_texts(&spi);
	kms_spi_end(&spi);
	return ids;
}

/*
 * Look at random keys, and at those that expire last, because a copy is rarely
 * older than the keys that were there.
 */
#define LATEST(state) \
	"(SELECT k.key_id FROM kms.key AS k WHERE k.state = '" state "'" \
	" ORDER BY k.expires_at DESC LIMIT 1000)"
#define LOOKED_AT \
	"k.key_id = ANY (ARRAY(SELECT pg_catalog.unnest($1) UNION " \
	LATEST("active") " UNION " LATEST("deprecated") "))"

/*
 * Making a key writes its event in the same transaction.  If retention has
 * deleted the beginning of the trail, a key's event may be gone although older
 * ones are not, because an event has the time of its call and the place of its
 * commit.  So allow for a margin of a day.
 */
List *
kms_health_made_elsewhere(List *sample)
{
	static SPIPlanPtr plan = NULL;

	return texts_of_sample(&plan, sample, true,
						   "SELECT k.key_id FROM kms.key AS k,"
						   " (SELECT e.occurred_at FROM kms.event AS e"
						   "  ORDER BY e.ticket, e.epoch LIMIT 1) AS f,"
						   " (SELECT CASE WHEN EXISTS (SELECT 1 FROM kms.event_checkpoint"
						   "   WHERE kind = 'start') THEN '1 day'::pg_catalog.interval"
						   "   ELSE '0'::pg_catalog.interval END AS margin) AS m"
						   " WHERE " LOOKED_AT
						   " AND k.created_at > f.occurred_at + m.margin"
						   " AND NOT EXISTS (SELECT 1 FROM kms.event AS e"
						   "  WHERE " OF_KEY " AND " AMONG(MAKING) ")"
						   " AND NOT EXISTS (SELECT 1 FROM kms.event_outbox AS o"
						   "  WHERE o.key_id = k.key_id)"
						   " ORDER BY k.key_id LIMIT 1000");
}

#define IN_USE(k) \
	k ".state = 'active' AND " k ".expires_at > pg_catalog.clock_timestamp()" \
	" AND NOT EXISTS (SELECT 1 FROM kms.denial AS d" \
	" WHERE d.key_id = " k ".key_id)"

List *
kms_health_active_twice(List *sample, bool complete)
{
	static SPIPlanPtr plan = NULL;
	static SPIPlanPtr sample_plan = NULL;

	if (complete)
		return texts_of_sample(&plan, NIL, false,
							   "SELECT pg_catalog.string_agg(k.key_id, ' and '"
							   "  ORDER BY k.created_at, k.key_id)"
							   " FROM kms.key AS k WHERE " IN_USE("k")
							   " GROUP BY k.device_id, k.algorithm, k.oaep_hash,"
							   "  k.mgf1_hash HAVING pg_catalog.count(*) > 1"
							   " ORDER BY 1 LIMIT 11");
	return texts_of_sample(&sample_plan, sample, true,
						   "SELECT k.key_id || ' and ' || s.key_id"
						   " FROM kms.key AS k JOIN kms.key AS s"
						   "  ON s.device_id = k.device_id AND s.key_id <> k.key_id"
						   "  AND s.algorithm = k.algorithm"
						   "  AND s.oaep_hash = k.oaep_hash"
						   "  AND s.mgf1_hash = k.mgf1_hash"
						   " WHERE " LOOKED_AT " AND " IN_USE("k") " AND " IN_USE("s")
						   " ORDER BY k.key_id LIMIT 11");
}

/*
 * Two trails, each without gaps, overlap at the beginning of one and at the
 * end of one.  The latter is the last ticket of an epoch.
 */
List *
kms_health_tickets_twice(void)
{
	static SPIPlanPtr plan = NULL;

	return texts_of_sample(&plan, NIL, true,
						   "WITH p AS MATERIALIZED ("
						   " (SELECT e.ticket FROM kms.event AS e"
						   "  ORDER BY e.ticket, e.epoch LIMIT 1000)"
						   " UNION (SELECT e.ticket FROM kms.event AS e"
						   "  ORDER BY e.ticket DESC, e.epoch DESC LIMIT 1000)"
						   " UNION (SELECT h.last_ticket - g FROM (SELECT last_ticket"
						   "   FROM kms.event_epoch ORDER BY last_ticket DESC"
						   "   LIMIT 1000) AS h, pg_catalog.generate_series(0, 9) AS g)),"
						   " x AS (SELECT e.ticket, e.epoch FROM kms.event AS e"
						   "   WHERE e.ticket = ANY (ARRAY(SELECT p.ticket FROM p))"
						   "  UNION SELECT q.ticket, q.epoch FROM kms.event_quarantine AS q"
						   "   WHERE q.ticket = ANY (ARRAY(SELECT p.ticket FROM p)))"
						   " SELECT x.ticket::pg_catalog.text FROM x"
						   " GROUP BY x.ticket HAVING pg_catalog.count(*) > 1"
						   " ORDER BY x.ticket LIMIT 11");
}

/* Run a query on the ids of a sample ($1), and return its texts. */
static List *
texts_of_sample(SPIPlanPtr *plan, List *sample, bool by_index,
				const char *query)
{
	List	   *ids;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	if (by_index)
		kms_spi_by_index(&spi);
	kms_spi_text_array(&spi, sample);
	kms_spi_run(&spi, plan, query, SPI_OK_SELECT);
	ids = kms_spi_texts(&spi);
	kms_spi_end(&spi);
	return ids;
}

static const char *const tables[] = {
	"key", "key_secret", "denial", "pepper", "audit_key", "field_key",
	"pool_key", "event",
	"event_outbox", "event_epoch", "event_quarantine", "event_checkpoint",
	"metric", "maintenance"
};

/* Indexes that C opens by name. */
static const char *const indexes[] = {
	"key_pkey", "key_device_idx", "key_secret_pkey",
	"key_secret_master_key_idx", "denial_key_idx", "pepper_pkey",
	"audit_key_pkey", "field_key_pkey", "field_key_id_key",
	"field_key_master_key_idx", "pool_key_pkey"
};

List *
kms_health_missing_relations(void)
{
	List	   *missing = NIL;
	int			i;

	for (i = 0; i < (int) lengthof(tables); i++)
		missing = add_missing(missing, tables[i], RELKIND_RELATION);
	for (i = 0; i < (int) lengthof(indexes); i++)
		missing = add_missing(missing, indexes[i], RELKIND_INDEX);
	return missing;
}

static List *
add_missing(List *missing, const char *name, char kind)
{
	if (OidIsValid(find_relation(name, kind)))
		return missing;
	return lappend(missing, psprintf("kms.%s", name));
}

static Oid
find_relation(const char *name, char kind)
{
	Oid			relid = get_relname_relid(name, get_namespace_oid("kms", true));

	if (OidIsValid(relid) && get_rel_relkind(relid) != kind)
		return InvalidOid;
	return relid;
}

List *
kms_health_locked_tables(void)
{
	List	   *locked = NIL;
	int			i;

	for (i = 0; i < (int) lengthof(tables); i++)
	{
		Oid			relid = find_relation(tables[i], RELKIND_RELATION);

		if (!OidIsValid(relid))
			continue;
		if (ConditionalLockRelationOid(relid, AccessShareLock))
			UnlockRelationOid(relid, AccessShareLock);
		else
			locked = lappend(locked, psprintf("kms.%s", tables[i]));
	}
	return locked;
}

/* Return one text, in the caller's memory context. */
static char *
names(SPIPlanPtr *plan, const char *query)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *list = NULL;
	KmsSpi		spi;
	bool		isnull;
	Datum		value;

	kms_spi_begin(&spi);
	kms_spi_run(&spi, plan, query, SPI_OK_SELECT);
	value = kms_spi_field(0, 1, &isnull);
	if (!isnull)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);

		list = TextDatumGetCString(value);
		MemoryContextSwitchTo(old);
	}
	kms_spi_end(&spi);
	return list;
}

static int64
number(SPIPlanPtr *plan, bool by_index, const char *query)
{
	KmsSpi		spi;

	kms_spi_begin(&spi);
	if (by_index)
		kms_spi_by_index(&spi);
	kms_spi_run(&spi, plan, query, SPI_OK_SELECT);
	return kms_spi_end_with_int64(&spi, 0);
}
