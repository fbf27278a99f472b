#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "pg/catalog.h"
#include "store/reference.h"
#include "store/spi.h"

#define FROM_REFERENCES \
	" FROM pg_catalog.pg_constraint AS c" \
	" JOIN pg_catalog.pg_namespace AS n" \
	" ON n.oid OPERATOR(pg_catalog.=) c.connamespace" \
	" WHERE c.contype OPERATOR(pg_catalog.=) 'f'" \
	" AND c.confrelid OPERATOR(pg_catalog.=) $1"

static char *one_text(SPIPlanPtr *plan, const char *query, Oid relid);

char *
kms_reference_acting(const char *table)
{
	static SPIPlanPtr plan = NULL;
	Oid			relid = get_relname_relid(table,
										  get_namespace_oid("kms", false));

	LockRelationOid(relid, RowExclusiveLock);
	return one_text(&plan,
					"SELECT pg_catalog.concat('\"', c.conname, '\" of ',"
					" c.conrelid::pg_catalog.regclass)"
					FROM_REFERENCES
					" AND c.confdeltype OPERATOR(pg_catalog.<>) ALL"
					" ('{a,r}'::pg_catalog.\"char\"[])"
					" ORDER BY 1 LIMIT 1", relid);
}

char *
kms_reference_tables(void)
{
	static SPIPlanPtr plan = NULL;

	return one_text(&plan,
					"SELECT pg_catalog.string_agg(DISTINCT"
					" c.conrelid::pg_catalog.regclass::pg_catalog.text, ', ')"
					FROM_REFERENCES,
					kms_catalog()->key);
}

bool
kms_reference_check_now(void)
{
	static SPIPlanPtr plan = NULL;
	ConstraintsSetStmt *statement = makeNode(ConstraintsSetStmt);
	bool		pending = false;
	KmsSpi		spi;
	uint64		i;

	/* SET CONSTRAINTS means all of a name in a schema: so look at those */
	kms_spi_begin(&spi);
	kms_spi_datum(&spi, OIDOID, ObjectIdGetDatum(kms_catalog()->key));
	kms_spi_run(&spi, &plan,
				"SELECT n.nspname::pg_catalog.text, c.conname::pg_catalog.text,"
				" o.conrelid, o.confrelid"
				" FROM pg_catalog.pg_constraint AS c"
				" JOIN pg_catalog.pg_namespace AS n"
				" ON n.oid OPERATOR(pg_catalog.=) c.connamespace"
				" JOIN pg_catalog.pg_constraint AS o"
				" ON o.connamespace OPERATOR(pg_catalog.=) c.connamespace"
				" AND o.conname OPERATOR(pg_catalog.=) c.conname"
				" WHERE c.contype OPERATOR(pg_catalog.=) 'f'"
				" AND c.confrelid OPERATOR(pg_catalog.=) $1"
				" AND c.condeferrable",
				SPI_OK_SELECT);
	for (i = 0; i < spi.processed; i++)
	{
		bool		isnull;
		char	   *schema = TextDatumGetCString(kms_spi_field(i, 1, &isnull));
		char	   *name = TextDatumGetCString(kms_spi_field(i, 2, &isnull));
		Oid			of = DatumGetObjectId(kms_spi_field(i, 3, &isnull));
		Oid			to = DatumGetObjectId(kms_spi_field(i, 4, &isnull));

		pending = pending || AfterTriggerPendingOnRel(of) ||
			(OidIsValid(to) && AfterTriggerPendingOnRel(to));
		statement->constraints = lappend(statement->constraints,
										 makeRangeVar(schema, name, -1));
	}

	/* an empty list would mean all constraints */
	if (!pending && statement->constraints != NIL)
		AfterTriggerSetState(statement);
	kms_spi_end(&spi);
	return !pending;
}

static char *
one_text(SPIPlanPtr *plan, const char *query, Oid relid)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *phrase = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_datum(&spi, OIDOID, ObjectIdGetDatum(relid));
	kms_spi_run(&spi, plan, query, SPI_OK_SELECT);
	if (spi.processed > 0)
	{
		bool		isnull;
		Datum		value = kms_spi_field(0, 1, &isnull);
		MemoryContext old = MemoryContextSwitchTo(caller);

		if (!isnull)
			phrase = TextDatumGetCString(value);
		MemoryContextSwitchTo(old);
	}
	kms_spi_end(&spi);
	return phrase;
}
