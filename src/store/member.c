#include "postgres.h"

#include "store/member.h"

#include "store/spi.h"

/*
 * Common parts: the extension; the relations of schema kms; the functions in
 * the schema of the extension, except the one that everybody may call; the
 * roles that are judged.  These are neither superusers nor the owner.
 * Predefined roles are judged by their members.  PUBLIC is OID 0.
 */
#define EXTENSION \
	"e AS MATERIALIZED (SELECT x.oid, x.extowner, x.extnamespace," \
	"  n.oid AS kms" \
	"  FROM pg_catalog.pg_extension AS x, pg_catalog.pg_namespace AS n" \
	"  WHERE x.extname = 'kms' AND n.nspname = 'kms')"
#define RELATIONS \
	"c AS MATERIALIZED (SELECT c.*, 'kms.' || c.relname AS name" \
	"  FROM pg_catalog.pg_class AS c, e WHERE c.relnamespace = e.kms" \
	"  AND c.relkind IN ('r', 'S', 'v')), " \
	"t AS MATERIALIZED (SELECT * FROM c WHERE c.relkind = 'r')"
#define MEMBERS \
	"m AS MATERIALIZED (SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d, e" \
	"  WHERE d.deptype = 'e' AND d.refobjid = e.oid AND d.refclassid" \
	"   = 'pg_catalog.pg_extension'::pg_catalog.regclass)"
#define FUNCTIONS \
	MEMBERS ", f AS MATERIALIZED (SELECT p.oid, p.proname::pg_catalog.text" \
	"   AS name, p.proowner FROM m" \
	"  JOIN pg_catalog.pg_proc AS p ON p.oid = m.objid, e" \
	"  WHERE m.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass" \
	"  AND p.pronamespace = e.extnamespace AND p.proname <> 'kms_version')"
#define ROLES \
	"r AS MATERIALIZED (SELECT a.oid, pg_catalog.quote_ident(a.rolname) AS name" \
	"  FROM pg_catalog.pg_authid AS a, e" \
	"  WHERE NOT a.rolsuper AND a.oid <> e.extowner AND a.rolname !~~ 'pg\\_%'" \
	"  UNION ALL SELECT 0, 'PUBLIC')"

/*
 * "h" has roles and what they may do, NULL if that needs no name.  A role that
 * may do no more than PUBLIC is left out, because the right cannot be revoked
 * from that role alone.
 */
#define NAMED \
	" SELECT h.name || COALESCE(' (' || h.what || ')', '') FROM h" \
	" WHERE h.name = 'PUBLIC' OR NOT EXISTS (SELECT 1 FROM h AS p" \
	"  WHERE p.name = 'PUBLIC' AND p.what IS NOT DISTINCT FROM h.what)" \
	" ORDER BY h.name <> 'PUBLIC', h.name"
#define LIST(expression) \
	"pg_catalog.string_agg(" expression ", ', ' ORDER BY " expression ")"
#define LIMIT " LIMIT " CppAsString2(KMS_MEMBER_MAX)

/*
 * A member of pg_write_all_data that does not inherit its rights may still SET
 * ROLE to it, and that role itself is not reported.
 */
#define MAY_WRITE \
	"CASE WHEN c.relkind = 'S'" \
	" THEN pg_catalog.has_sequence_privilege(r.oid, c.oid, 'USAGE, UPDATE')" \
	" ELSE pg_catalog.has_table_privilege(r.oid, c.oid," \
	"   'INSERT, UPDATE, DELETE, TRUNCATE')" \
	"  OR pg_catalog.has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE')" \
	" END OR r.oid <> 0 AND" \
	" pg_catalog.pg_has_role(r.oid, 'pg_write_all_data', 'MEMBER')"
#define MAY_CALL "pg_catalog.has_function_privilege(r.oid, f.oid, 'EXECUTE')"
#define DANGEROUS \
	"'kms_destroy_key', 'kms_decrypt_recover', 'kms_decrypt_recover_bytea'," \
	" 'kms_import_key', 'kms_forget_device', 'kms_audit_accept'"

/* Objects that run code when a table is written or a view is read. */
#define EXPRESSIONS \
	"o AS MATERIALIZED (" \
	" SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass AS classid, x.oid AS objid" \
	"  FROM t JOIN pg_catalog.pg_constraint AS x ON x.conrelid = t.oid" \
	" UNION ALL SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, x.oid" \
	"  FROM t JOIN pg_catalog.pg_attrdef AS x ON x.adrelid = t.oid" \
	" UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, x.indexrelid" \
	"  FROM t JOIN pg_catalog.pg_index AS x ON x.indrelid = t.oid" \
	" UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, t.oid FROM t" \
	" UNION ALL SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, x.oid" \
	"  FROM c JOIN pg_catalog.pg_rewrite AS x ON x.ev_class = c.oid)"

static const char *const queries[] = {
	[KMS_MEMBER_OWNERS] =
	"WITH " EXTENSION ", " RELATIONS ", " FUNCTIONS ", o AS ("
	" SELECT e.extowner AS owner, 'extension kms' AS what, 0 AS place FROM e"
	" UNION ALL SELECT n.nspowner, 'schema kms', 1"
	"  FROM e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.kms"
	" UNION ALL SELECT c.relowner, CASE c.relkind WHEN 'r' THEN 'table '"
	"   WHEN 'v' THEN 'view ' ELSE 'sequence ' END || c.name,"
	"   CASE c.relkind WHEN 'r' THEN 2 ELSE 3 END FROM c"
	" UNION ALL SELECT f.proowner, 'function ' || f.name, 4 FROM f)"
	" SELECT pg_catalog.quote_ident(a.rolname) || ' ('"
	"  || pg_catalog.array_to_string((pg_catalog.array_agg(o.what ORDER BY"
	"   o.place, o.what))[1:3], ', ') || CASE WHEN pg_catalog.count(*) > 3"
	"   THEN ', and ' || pg_catalog.count(*) - 3 || ' more' ELSE '' END || ')'"
	" FROM o JOIN pg_catalog.pg_authid AS a ON a.oid = o.owner"
	" WHERE NOT a.rolsuper GROUP BY a.rolname ORDER BY a.rolname" LIMIT,

	[KMS_MEMBER_WRITERS] =
	"WITH " EXTENSION ", " RELATIONS ", " ROLES ", w AS (SELECT * FROM c"
	"  WHERE c.relkind <> 'v'), h AS (SELECT r.name, CASE"
	"   WHEN pg_catalog.count(*) < (SELECT pg_catalog.count(*) FROM w)"
	"   THEN " LIST("c.name") " ELSE 'all' END AS what"
	"  FROM r, w AS c WHERE " MAY_WRITE " GROUP BY r.name)" NAMED LIMIT,

	[KMS_MEMBER_TRIGGERERS] =
	"WITH " EXTENSION ", " RELATIONS ", " ROLES ", h AS (SELECT r.name, CASE"
	"   WHEN pg_catalog.count(*) < (SELECT pg_catalog.count(*) FROM t)"
	"   THEN " LIST("t.name") " ELSE 'all' END AS what FROM r, t"
	"  WHERE pg_catalog.has_table_privilege(r.oid, t.oid, 'TRIGGER')"
	"  GROUP BY r.name)" NAMED LIMIT,

	[KMS_MEMBER_ALL_FUNCTIONS] =
	"WITH " EXTENSION ", " FUNCTIONS ", " ROLES ", h AS (SELECT r.name,"
	"  NULL::pg_catalog.text AS what FROM r WHERE NOT EXISTS (SELECT 1 FROM f"
	"   WHERE NOT " MAY_CALL "))" NAMED LIMIT,

	[KMS_MEMBER_DANGEROUS] =
	"WITH " EXTENSION ", " FUNCTIONS ", " ROLES ", h AS (SELECT r.name,"
	"  " LIST("f.name") " AS what FROM r, f"
	"  WHERE f.name IN (" DANGEROUS ") AND " MAY_CALL
	"  AND EXISTS (SELECT 1 FROM f WHERE NOT " MAY_CALL ")"
	"  GROUP BY r.name)" NAMED LIMIT,

	[KMS_MEMBER_PUBLIC] =
	"WITH " EXTENSION ", " FUNCTIONS " SELECT f.name FROM f"
	" WHERE pg_catalog.has_function_privilege(0::pg_catalog.oid, f.oid, 'EXECUTE')"
	" ORDER BY f.name" LIMIT,

	[KMS_MEMBER_CREATORS] =
	"WITH " EXTENSION ", " ROLES ", h AS (SELECT r.name,"
	"  'schema ' || " LIST("pg_catalog.quote_ident(n.nspname)") " AS what"
	"  FROM r, e JOIN pg_catalog.pg_namespace AS n"
	"   ON n.oid IN (e.extnamespace, e.kms)"
	"  WHERE pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')"
	"  GROUP BY r.name)" NAMED LIMIT,

	[KMS_MEMBER_ATTACHED] =
	"WITH " EXTENSION ", " RELATIONS
	" SELECT 'trigger ' || pg_catalog.quote_ident(x.tgname) || ' on ' || c.name"
	"  FROM c JOIN pg_catalog.pg_trigger AS x ON x.tgrelid = c.oid"
	"  WHERE NOT x.tgisinternal"
	" UNION ALL SELECT 'rule ' || pg_catalog.quote_ident(x.rulename) || ' on ' || c.name"
	"  FROM c JOIN pg_catalog.pg_rewrite AS x ON x.ev_class = c.oid"
	"  WHERE c.relkind <> 'v' OR x.rulename <> '_RETURN'"
	" UNION ALL SELECT 'policy ' || pg_catalog.quote_ident(x.polname) || ' on ' || c.name"
	"  FROM c JOIN pg_catalog.pg_policy AS x ON x.polrelid = c.oid"
	" UNION ALL SELECT 'row security of ' || c.name FROM c"
	"  WHERE c.relrowsecurity OR c.relforcerowsecurity"
	" UNION ALL SELECT 'table ' || x.inhrelid::pg_catalog.regclass::pg_catalog.text"
	"   || ', which inherits from ' || c.name"
	"  FROM c JOIN pg_catalog.pg_inherits AS x ON x.inhparent = c.oid"
	" ORDER BY 1" LIMIT,

	[KMS_MEMBER_CASTING_KEYS] =
	"WITH " EXTENSION ", " RELATIONS
	" SELECT pg_catalog.quote_ident(x.conname) || ' of '"
	"   || x.conrelid::pg_catalog.regclass::pg_catalog.text"
	"  FROM t JOIN pg_catalog.pg_constraint AS x ON x.confrelid = t.oid"
	"  WHERE x.contype = 'f' AND (t.relname <> 'key' OR EXISTS (SELECT 1"
	"   FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = x.conrelid"
	"   AND a.attnum = ANY (x.conkey) AND a.atttypid <> ALL"
	"    ('{text,varchar,bpchar}'::pg_catalog.regtype[]::pg_catalog.oid[])))"
	" UNION ALL SELECT pg_catalog.quote_ident(x.conname) || ' of ' || t.name"
	"  FROM t JOIN pg_catalog.pg_constraint AS x ON x.conrelid = t.oid"
	"  WHERE x.contype = 'f'"
	" ORDER BY 1" LIMIT,

	[KMS_MEMBER_FOREIGN_CODE] =
	"WITH " EXTENSION ", " RELATIONS ", " MEMBERS ", " EXPRESSIONS
	" SELECT DISTINCT pg_catalog.pg_describe_object(o.classid, o.objid, 0)"
	"   || ' uses ' || pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0)"
	"  FROM o JOIN pg_catalog.pg_depend AS d"
	"   ON d.classid = o.classid AND d.objid = o.objid"
	"  WHERE d.refobjid >= 16384 AND d.deptype <> 'e'"
	"  AND NOT EXISTS (SELECT 1 FROM m WHERE m.classid = d.refclassid"
	"   AND m.objid = d.refobjid)"
	"  AND NOT EXISTS (SELECT 1 FROM c WHERE c.oid = d.refobjid"
	"   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)"
	"  AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass,"
	"   'pg_catalog.pg_operator'::pg_catalog.regclass,"
	"   'pg_catalog.pg_type'::pg_catalog.regclass,"
	"   'pg_catalog.pg_opclass'::pg_catalog.regclass,"
	"   'pg_catalog.pg_class'::pg_catalog.regclass)"
	"  ORDER BY 1" LIMIT,

	[KMS_MEMBER_DROPPED_COLUMNS] =
	"WITH " EXTENSION ", " RELATIONS
	" SELECT DISTINCT t.name FROM t JOIN pg_catalog.pg_attribute AS a"
	"  ON a.attrelid = t.oid WHERE a.attnum > 0 AND a.attisdropped"
	" ORDER BY t.name" LIMIT,

	[KMS_MEMBER_UNLOGGED] =
	"WITH " EXTENSION ", " RELATIONS
	" SELECT c.name FROM c WHERE c.relpersistence = 'u'"
	" ORDER BY c.name" LIMIT,

	[KMS_MEMBER_UNVACUUMED] =
	"WITH " EXTENSION ", " RELATIONS
	" SELECT t.name FROM t LEFT JOIN pg_catalog.pg_class AS b"
	"  ON b.oid = t.reltoastrelid WHERE EXISTS (SELECT 1"
	"   FROM pg_catalog.pg_options_to_table(t.reloptions || b.reloptions) AS x"
	"   WHERE x.option_name = 'autovacuum_enabled'"
	"   AND NOT x.option_value::pg_catalog.bool)"
	" ORDER BY t.name" LIMIT
};

List *
kms_member_ask(KmsMemberQuestion question)
{
	static SPIPlanPtr plans[lengthof(queries)];
	List	   *names;
	KmsSpi		spi;

	kms_spi_begin_catalogs(&spi);
	kms_spi_run(&spi, &plans[question], queries[question], SPI_OK_SELECT);
	names = kms_spi_texts(&spi);
	kms_spi_end(&spi);
	return names;
}

char *
kms_member_version(void)
{
	static SPIPlanPtr plan = NULL;
	List	   *version;
	KmsSpi		spi;

	kms_spi_begin_catalogs(&spi);
	kms_spi_run(&spi, &plan,
				"SELECT extversion FROM pg_catalog.pg_extension"
				" WHERE extname = 'kms'", SPI_OK_SELECT);
	version = kms_spi_texts(&spi);
	kms_spi_end(&spi);
	return version == NIL ? "" : linitial(version);
}
