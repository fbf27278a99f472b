#include "postgres.h"

#include "access/twophase.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"

#include "store/prepared.h"

#include "store/spi.h"

/*
 * Locks of prepared transactions have no pid.  The lock on its own transaction
 * id tells which transaction it is.
 */
#define HELD \
	"l AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks WHERE pid IS NULL)," \
	" p AS (SELECT x.gid, x.owner, x.prepared, l.virtualtransaction" \
	"  FROM pg_catalog.pg_prepared_xacts AS x JOIN l" \
	"   ON l.locktype = 'transactionid' AND l.transactionid = x.transaction" \
	"  WHERE x.database = pg_catalog.current_database())"

static char *end_with_name(KmsSpi *spi);

List *
kms_prepared_holders(TimestampTz before)
{
	static SPIPlanPtr plan = NULL;
	List	   *holders;
	KmsSpi		spi;

	if (max_prepared_xacts == 0)
		return NIL;
	kms_spi_begin_catalogs(&spi);
	kms_spi_time(&spi, before);
	kms_spi_run(&spi, &plan,
				"WITH " HELD ", k AS (SELECT c.oid, c.relname"
				"  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n"
				"   ON n.oid = c.relnamespace WHERE n.nspname = 'kms')"
				" SELECT pg_catalog.quote_literal(p.gid) || ' of '"
				"  || pg_catalog.quote_ident(p.owner)"
				" FROM p WHERE p.prepared < $1 AND EXISTS (SELECT 1 FROM l"
				"  WHERE l.virtualtransaction = p.virtualtransaction"
				"  AND (l.locktype = 'relation' AND l.mode <> 'AccessShareLock'"
				"    AND l.relation IN (SELECT k.oid FROM k)"
				"   OR l.locktype = 'object' AND l.classid IN"
				"    (SELECT k.oid FROM k WHERE k.relname = 'key')))"
				" ORDER BY p.prepared LIMIT 11",
				SPI_OK_SELECT);
	holders = kms_spi_texts(&spi);
	kms_spi_end(&spi);
	return holders;
}

char *
kms_prepared_holder(const LOCKTAG *tag)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	if (max_prepared_xacts == 0)
		return NULL;
	kms_spi_begin_catalogs(&spi);
	kms_spi_int64(&spi, tag->locktag_field2);
	kms_spi_int64(&spi, tag->locktag_field3);
	kms_spi_int64(&spi, tag->locktag_field4);
	kms_spi_run(&spi, &plan,
				"WITH " HELD " SELECT p.gid FROM p WHERE EXISTS (SELECT 1 FROM l"
				"  WHERE l.virtualtransaction = p.virtualtransaction"
				"  AND l.locktype = 'object'"
				"  AND l.classid::pg_catalog.int8 = $1"
				"  AND l.objid::pg_catalog.int8 = $2"
				"  AND l.objsubid::pg_catalog.int4 & 65535 = $3)"
				" LIMIT 1",
				SPI_OK_SELECT);
	return end_with_name(&spi);
}

char *
kms_prepared_name(TransactionId xid)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	if (max_prepared_xacts == 0)
		return NULL;
	kms_spi_begin_catalogs(&spi);
	kms_spi_datum(&spi, XIDOID, TransactionIdGetDatum(xid));
	kms_spi_run(&spi, &plan,
				"SELECT gid FROM pg_catalog.pg_prepared_xacts"
				" WHERE transaction = $1",
				SPI_OK_SELECT);
	return end_with_name(&spi);
}

/* Return the first value found, or NULL. */
static char *
end_with_name(KmsSpi *spi)
{
	List	   *names = kms_spi_texts(spi);

	kms_spi_end(spi);
	return names == NIL ? NULL : linitial(names);
}
