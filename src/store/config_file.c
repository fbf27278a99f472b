#include "postgres.h"

#include "utils/builtins.h"

#include "store/config_file.h"

#include "store/spi.h"

static char *field_text(const KmsSpi *spi, uint64 row, int column);

/*
 * Skip entries without a fault: one that a later one overrides is not applied,
 * either, but has no error; kms_config_file_pending reports the entry for a
 * removed line whose setting waits for a restart.  A name that no module knows
 * makes a reload ignore all files.  But an unknown name of kms is refused only
 * in lower case, so look for it in pg_settings, too.
 */
List *
kms_config_file_refused(void)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext caller = CurrentMemoryContext;
	List	   *lines = NIL;
	KmsSpi		spi;
	uint64		i;

	kms_spi_begin_catalogs(&spi);
	kms_spi_run(&spi, &plan,
				"SELECT f.name, f.sourcefile || ':' || f.sourceline, f.error"
				" FROM pg_catalog.pg_file_settings AS f"
				" WHERE f.error IS NOT NULL AND (f.name IS NULL"
				"   AND (f.sourcefile IS NOT NULL OR f.error !~~"
				"    'parameter \"%\" cannot be changed without restarting the server')"
				"   OR pg_catalog.lower(f.name) ~~ 'kms.%'"
				"   OR f.error = 'unrecognized configuration parameter')"
				"  OR pg_catalog.lower(f.name) ~~ 'kms.%' AND NOT EXISTS"
				"   (SELECT 1 FROM pg_catalog.pg_settings AS s"
				"    WHERE pg_catalog.lower(s.name) = pg_catalog.lower(f.name))"
				" ORDER BY f.seqno LIMIT 10",
				SPI_OK_SELECT);
	for (i = 0; i < spi.processed; i++)
	{
		KmsConfigLine *line = MemoryContextAlloc(caller, sizeof(*line));
		MemoryContext old;

		line->name = field_text(&spi, i, 1);
		line->place = field_text(&spi, i, 2);
		line->error = field_text(&spi, i, 3);
		old = MemoryContextSwitchTo(caller);
		lines = lappend(lines, line);
		MemoryContextSwitchTo(old);
	}
	kms_spi_end(&spi);
	return lines;
}

List *
kms_config_file_pending(void)
{
	static SPIPlanPtr plan = NULL;
	List	   *names;
	KmsSpi		spi;

	kms_spi_begin_catalogs(&spi);
	kms_spi_run(&spi, &plan,
				"SELECT name FROM pg_catalog.pg_settings"
				" WHERE pending_restart AND (name ~~ 'kms.%'"
				"  OR name = 'shared_preload_libraries')"
				" ORDER BY name",
				SPI_OK_SELECT);
	names = kms_spi_texts(&spi);
	kms_spi_end(&spi);
	return names;
}

List *
kms_config_file_altered(void)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext caller = CurrentMemoryContext;
	List	   *entries = NIL;
	KmsSpi		spi;
	uint64		i;

	kms_spi_begin_catalogs(&spi);
	kms_spi_run(&spi, &plan,
				"SELECT pg_catalog.concat_ws(' in ',"
				"  'role ' || pg_catalog.quote_ident(a.rolname),"
				"  'database ' || pg_catalog.quote_ident(d.datname)), c.setting,"
				"  EXISTS (SELECT 1 FROM pg_catalog.pg_settings AS g"
				"   WHERE pg_catalog.lower(g.name) = pg_catalog.lower("
				"    pg_catalog.split_part(c.setting, '=', 1)))"
				" FROM pg_catalog.pg_db_role_setting AS s"
				" LEFT JOIN pg_catalog.pg_authid AS a ON a.oid = s.setrole"
				" LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase,"
				" pg_catalog.unnest(s.setconfig) AS c (setting)"
				" WHERE pg_catalog.lower(c.setting) ~~ 'kms.%'"
				" AND (s.setdatabase = 0"
				"  OR d.datname = pg_catalog.current_database())"
				" ORDER BY 1, 2",
				SPI_OK_SELECT);
	for (i = 0; i < spi.processed; i++)
	{
		KmsConfigSetting *entry = MemoryContextAlloc(caller, sizeof(*entry));
		MemoryContext old = MemoryContextSwitchTo(caller);
		bool		isnull;

		entry->whose = field_text(&spi, i, 1);
		entry->setting = field_text(&spi, i, 2);
		entry->known = DatumGetBool(kms_spi_field(i, 3, &isnull));
		entries = lappend(entries, entry);
		MemoryContextSwitchTo(old);
	}
	kms_spi_end(&spi);
	return entries;
}

/* Return a text in the caller's memory context, NULL for a null. */
static char *
field_text(const KmsSpi *spi, uint64 row, int column)
{
	bool		isnull;
	Datum		value = kms_spi_field(row, column, &isnull);
	MemoryContext old;
	char	   *copy;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(spi->caller);
	copy = TextDatumGetCString(value);
	MemoryContextSwitchTo(old);
	return copy;
}
