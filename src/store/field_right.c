#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "store/field_right.h"

#include "pg/catalog.h"
#include "pg/compat.h"
#include "pg/script.h"
#include "store/spi.h"

#define SCHEMA "kms_field"

static const char *const names[KMS_FIELD_RIGHTS] = {
	[KMS_RIGHT_ENCRYPT] = "encrypt",
	[KMS_RIGHT_DECRYPT] = "decrypt",
	[KMS_RIGHT_REFRESH] = "refresh",
	[KMS_RIGHT_INDEX] = "index"
};

static uint64 generation = 1;

static bool is_granted(HeapTuple function, Oid role);
static HeapTuple find_function(const char *field, KmsFieldRight right);
static void note_change(Datum arg, int cache, uint32 hash);

const char *
kms_field_right_name(KmsFieldRight right)
{
	return names[right];
}

bool
kms_field_right_held(const char *field, KmsFieldRight right, Oid role)
{
	HeapTuple	function;
	bool		held;

	if (superuser_arg(role))
		return true;
	function = find_function(field, right);
	if (!HeapTupleIsValid(function))
		return false;
	held = is_granted(function, role);
	ReleaseSysCache(function);
	return held;
}

/*
 * EXECUTE of PUBLIC does not count, because PostgreSQL grants that by default:
 * a restore without privileges, or one in which a role is missing, would give
 * the right to everybody.
 */
static bool
is_granted(HeapTuple function, Oid role)
{
	bool		isnull;
	Datum		value = SysCacheGetAttr(PROCNAMEARGSNSP, function,
										Anum_pg_proc_proacl, &isnull);
	const AclItem *items;
	Acl		   *acl;
	bool		granted = false;
	int			i;

	if (isnull)
		return has_privs_of_role(role, ((Form_pg_proc) GETSTRUCT(function))->proowner);
	acl = DatumGetAclPCopy(value);
	items = ACL_DAT(acl);
	for (i = 0; i < ACL_NUM(acl) && !granted; i++)
	{
		granted = items[i].ai_grantee != ACL_ID_PUBLIC &&
			(ACLITEM_GET_PRIVS(items[i]) & ACL_EXECUTE) != 0 &&
			has_privs_of_role(role, items[i].ai_grantee);
	}
	pfree(acl);
	return granted;
}

bool
kms_field_right_exists(const char *field, KmsFieldRight right)
{
	HeapTuple	function = find_function(field, right);

	if (!HeapTupleIsValid(function))
		return false;
	ReleaseSysCache(function);
	return true;
}

/* Return the function of a right, to be released, or NULL. */
static HeapTuple
find_function(const char *field, KmsFieldRight right)
{
	Oid			schema = get_namespace_oid(SCHEMA, true);
	char		name[NAMEDATALEN];
	oidvector  *no_types;
	HeapTuple	tuple;

	if (!OidIsValid(schema))
		return NULL;
	memset(name, 0, sizeof(name));
	snprintf(name, sizeof(name), "%s/%s", field, names[right]);
	no_types = buildoidvector(NULL, 0);
	tuple = SearchSysCache3(PROCNAMEARGSNSP, CStringGetDatum(name),
							PointerGetDatum(no_types),
							ObjectIdGetDatum(schema));
	pfree(no_types);
	if (HeapTupleIsValid(tuple) &&
		((Form_pg_proc) GETSTRUCT(tuple))->proowner != kms_catalog_owner())
	{
		ReleaseSysCache(tuple);
		return NULL;
	}
	return tuple;
}

void
kms_field_right_make(const char *field, KmsFieldRight right)
{
	char	   *query = psprintf("CREATE FUNCTION " SCHEMA ".\"%s/%s\"()"
								 " RETURNS pg_catalog.bool LANGUAGE sql"
								 " IMMUTABLE PARALLEL SAFE RETURN true",
								 field, names[right]);
	ObjectAddress extension;
	ObjectAddress function;
	HeapTuple	tuple;
	KmsSpi		spi;
	int			code;

	kms_spi_begin(&spi);
	kms_owner_require();
	code = SPI_execute(query, false, 0);
	if (code != SPI_OK_UTILITY)
		elog(ERROR, "unexpected result of a statement of kms: %s",
			 SPI_result_code_string(code));
	CommandCounterIncrement();
	tuple = find_function(field, right);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "the function of a right was not made");
	ObjectAddressSet(function, ProcedureRelationId,
					 ((Form_pg_proc) GETSTRUCT(tuple))->oid);
	ReleaseSysCache(tuple);
	ObjectAddressSet(extension, ExtensionRelationId, kms_catalog_extension());

	/* ALTER FUNCTION … DEPENDS ON EXTENSION would lock the extension */
	recordDependencyOn(&function, &extension, DEPENDENCY_AUTO_EXTENSION);
	kms_script_close_object(&function);
	kms_spi_end(&spi);
}

uint64
kms_field_right_generation(void)
{
	static bool registered = false;

	if (!registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, note_change, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHOID, note_change, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, note_change, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, note_change, (Datum) 0);

		/* the owner of the database is a member of pg_database_owner */
		CacheRegisterSyscacheCallback(DATABASEOID, note_change, (Datum) 0);
		registered = true;
	}
	return generation;
}

static void
note_change(Datum arg, int cache, uint32 hash)
{
	generation++;
}

List *
kms_field_right_holders(int limit)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	List	   *holders;

	kms_spi_begin_catalogs(&spi);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"SELECT pg_catalog.format('%I (%s)', r.rolname,"
				"  pg_catalog.string_agg(pg_catalog.split_part(p.proname::text, '/', 1),"
				"   ', ' ORDER BY p.proname COLLATE \"C\"))"
				" FROM pg_catalog.pg_proc AS p"
				" JOIN pg_catalog.pg_roles AS r"
				"  ON NOT r.rolsuper AND r.oid <> p.proowner AND r.oid >= 16384"
				"  AND EXISTS (SELECT 1 FROM pg_catalog.aclexplode(p.proacl) AS a"
				"   WHERE a.privilege_type = 'EXECUTE' AND a.grantee <> 0"
				"   AND pg_catalog.pg_has_role(r.oid, a.grantee, 'USAGE'))"
				" WHERE p.pronamespace = '" SCHEMA "'::pg_catalog.regnamespace"
				"  AND p.proname LIKE '%/decrypt'"
				" GROUP BY r.rolname ORDER BY r.rolname COLLATE \"C\" LIMIT $1",
				SPI_OK_SELECT);
	holders = kms_spi_texts(&spi);
	kms_spi_end(&spi);
	return holders;
}
