#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "store/blocker.h"

#include "pg/compat.h"
#include "store/spi.h"

/*
 * pg_locks at one moment.  The locks of a prepared transaction have no pid,
 * but the same virtual transaction.  The lock on its own transaction id tells
 * which transaction it is.  (Below, an index stands for its table.)
 */
#define LOCKS \
	"WITH l AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks)"

/* The OID of this database, which has the objects. */
#define HERE \
	"(SELECT oid FROM pg_catalog.pg_database" \
	" WHERE datname = pg_catalog.current_database())"

static char *text_or_null(uint64 row, int column);

List *
kms_blocker_find(bool rows)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext old;
	List	   *found = NIL;
	KmsSpi		spi;
	uint64		i;

	kms_spi_begin(&spi);
	kms_spi_datum(&spi, BOOLOID, BoolGetDatum(rows));
	kms_spi_run(&spi, &plan,
				LOCKS ", t AS ("
				"SELECT c.oid, c.relname, c.relkind FROM pg_catalog.pg_class AS c"
				" JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
				" WHERE n.nspname = 'kms' AND c.relname = ANY ('{event,"
				"event_outbox,event_outbox_event_id_seq,event_epoch,"
				"event_quarantine,event_checkpoint,metric}')),"
				" o AS (SELECT oid, relname, relkind FROM t UNION ALL"
				" SELECT i.indexrelid, t.relname, 'i' FROM t"
				" JOIN pg_catalog.pg_index AS i ON i.indrelid = t.oid),"
				" b AS (SELECT CASE WHEN l.mode = 'RowExclusiveLock' THEN 1"
				"  ELSE 0 END AS blockage, 'kms.' || o.relname AS object, l.*"
				" FROM l JOIN o ON o.oid = l.relation"
				" WHERE l.locktype = 'relation' AND l.database = " HERE
				" AND CASE WHEN o.relkind = 'S'"
				"  THEN l.mode = 'AccessExclusiveLock'"
				"  WHEN l.mode = 'RowExclusiveLock' THEN $1 AND l.granted"
				"   AND o.relkind = 'r' AND o.relname <> 'event_outbox'"
				"  ELSE l.mode = ANY ('{ShareLock,ShareRowExclusiveLock,"
				"ExclusiveLock,AccessExclusiveLock}') END"
				" UNION ALL SELECT 2, 'extension kms', l.* FROM l"
				" JOIN pg_catalog.pg_extension AS e ON e.oid = l.objid"
				" WHERE e.extname = 'kms' AND l.locktype = 'object'"
				" AND l.classid = 'pg_catalog.pg_extension'::regclass"
				" AND l.objsubid = 0 AND l.database = " HERE
				" AND l.mode = 'AccessExclusiveLock')"
				" SELECT DISTINCT b.blockage, NOT b.granted, b.object, b.mode,"
				" COALESCE(a.usename, p.owner)::text,"
				" COALESCE(b.pid, 0), p.gid"
				" FROM b LEFT JOIN pg_catalog.pg_stat_activity AS a"
				" ON a.pid = b.pid"
				" LEFT JOIN l AS x ON b.pid IS NULL AND x.pid IS NULL"
				" AND x.locktype = 'transactionid' AND x.granted"
				" AND x.virtualtransaction = b.virtualtransaction"
				" LEFT JOIN pg_catalog.pg_prepared_xacts AS p"
				" ON p.transaction = x.transactionid"
				" WHERE COALESCE(a.backend_type, '') <> 'autovacuum worker'"
				" AND (b.blockage <> 1"
				"  OR COALESCE(a.backend_type, '') NOT LIKE 'kms %')"
				" ORDER BY 1, 3, 2, 6, 7, 4 LIMIT 100",
				SPI_OK_SELECT);
	old = MemoryContextSwitchTo(spi.caller);
	for (i = 0; i < spi.processed; i++)
	{
		KmsBlocker *blocker = palloc0(sizeof(KmsBlocker));
		bool		isnull;

		blocker->blockage = (KmsBlockage)
			DatumGetInt32(kms_spi_field(i, 1, &isnull));
		blocker->waits = DatumGetBool(kms_spi_field(i, 2, &isnull));
		blocker->object = text_or_null(i, 3);
		blocker->mode = text_or_null(i, 4);
		blocker->role = text_or_null(i, 5);
		blocker->pid = DatumGetInt32(kms_spi_field(i, 6, &isnull));
		blocker->gid = text_or_null(i, 7);
		found = lappend(found, blocker);
	}
	MemoryContextSwitchTo(old);
	kms_spi_end(&spi);
	return found;
}

bool
kms_blocker_is_dropping(Oid extension)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		dropping;
	bool		isnull;

	kms_spi_begin(&spi);
	kms_spi_datum(&spi, OIDOID, ObjectIdGetDatum(extension));
	kms_spi_run(&spi, &plan,
				LOCKS " SELECT EXISTS (SELECT FROM l AS e JOIN l AS t"
				" ON t.virtualtransaction = e.virtualtransaction"
				" AND t.pid IS NOT DISTINCT FROM e.pid"
				" JOIN pg_catalog.pg_class AS c ON c.oid = t.relation"
				" JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
				" WHERE e.locktype = 'object' AND e.database = " HERE
				" AND e.classid = 'pg_catalog.pg_extension'::regclass"
				" AND e.objid = $1 AND e.objsubid = 0"
				" AND e.mode = 'AccessExclusiveLock' AND e.granted"
				" AND t.locktype = 'relation' AND t.database = " HERE
				" AND t.mode = 'AccessExclusiveLock' AND t.granted"
				" AND c.relkind = 'r' AND n.nspname = 'kms')",
				SPI_OK_SELECT);
	dropping = DatumGetBool(kms_spi_field(0, 1, &isnull));
	kms_spi_end(&spi);
	return dropping;
}

static char *
text_or_null(uint64 row, int column)
{
	bool		isnull;
	Datum		value = kms_spi_field(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}
