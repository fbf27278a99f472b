/*
 * ALTER DATABASE ... SET and ALTER ROLE ... SET apply to background workers as
 * they do to sessions, and the owner of a database may set anything: to end a
 * worker at its first error, to have it act as another role, or to hide its
 * tables.
 *
 * A value from a lower source does not override one from a higher source.  So
 * the settings that workers rely on are set as PGC_S_OVERRIDE before they
 * connect.  There are too many other settings to list, and they differ between
 * versions.  So the postmaster's values are remembered, and after connecting,
 * each value that came from a database or a role is reset to them.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc_tables.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "worker/worker_settings.h"

#include "pg/compat.h"

/* Settings that this version of PostgreSQL does not have are skipped. */
static const struct
{
	const char *name;
	const char *value;
}			fixed[] = {

	/* Identity, and what happens at an error. */
	{"exit_on_error", "off"},
	{"role", "none"},
	{"kms.audit_context", ""},
	{"session_replication_role", "origin"},
	{"row_security", "on"},
	{"restrict_nonsystem_relation_kind", ""},

	/*
	 * Time limits.  lock_timeout is shorter than deadlock_timeout (1 s unless
	 * set), so in a deadlock with a user's DDL it is always the worker that
	 * is cancelled.  It retries.
	 */
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	{"lock_timeout", "300ms"},
	{"statement_timeout", "0"},
	{"transaction_timeout", "0"},

	/* Transactions. */
	{"default_transaction_deferrable", "off"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"synchronous_commit", "local"},

	/* The meaning of statements, and the place they write to. */
	{"search_path", "pg_catalog, pg_temp"},
	{"array_nulls", "on"},
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
	{"DateStyle", "ISO, MDY"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "GMT"},
	{"bytea_output", "hex"},
	{"extra_float_digits", "1"},
	{"default_table_access_method", "heap"},
	{"default_tablespace", ""},
	{"temp_tablespaces", ""},

	/* Cost.  Slots of parallel workers are for others. */
	{"jit", "off"},
	{"max_parallel_workers_per_gather", "0"}
};

/*
 * A setting with the postmaster's value.  The name is the server's own string.
 */
typedef struct Remembered
{
	const char *name;
	char	   *value;
} Remembered;

static Remembered *remembered = NULL;
static int	remembered_count = 0;

static bool is_policy(const struct config_generic *setting);
static const char *value_of(const char *name);
static const char *policy_of_database(const char *name);
static char *find_in_catalog(Relation rel, Oid database_oid,
							 const char *name);
static char *find_in_array(Datum array, const char *name);

void
kms_worker_settings_pin(const char *name, bool awaits_standby)
{
	struct config_generic **settings;
	int			count;
	int			i;

	settings = kms_guc_variables(&count);
	remembered = MemoryContextAlloc(TopMemoryContext,
									count * sizeof(Remembered));
	for (i = 0; i < count; i++)
	{
		const char *value;

		if (settings[i]->context != PGC_USERSET &&
			settings[i]->context != PGC_SUSET)
			continue;
		value = GetConfigOption(settings[i]->name, true, false);
		remembered[remembered_count].name = settings[i]->name;
		remembered[remembered_count].value =
			MemoryContextStrdup(TopMemoryContext, value != NULL ? value : "");
		remembered_count++;
	}

	for (i = 0; i < (int) lengthof(fixed); i++)
	{
		if (awaits_standby &&
			strcmp(fixed[i].name, "synchronous_commit") == 0)
			continue;
		if (value_of(fixed[i].name) != NULL)
			SetConfigOption(fixed[i].name, fixed[i].value, PGC_SUSET,
							PGC_S_OVERRIDE);
	}
	SetConfigOption("application_name", name, PGC_SUSET, PGC_S_OVERRIDE);
}

void
kms_worker_settings_reset(void)
{
	struct config_generic **settings;
	List	   *changed = NIL;
	ListCell   *cell;
	int			count;
	int			i;

	/* The session user cannot be pinned before the catalogs can be read. */
	if (GetSessionUserId() != BOOTSTRAP_SUPERUSERID)
		SetSessionAuthorization(BOOTSTRAP_SUPERUSERID, true);

	settings = kms_guc_variables(&count);
	for (i = 0; i < count; i++)
	{
		GucSource	source = settings[i]->source;

		if (source < PGC_S_GLOBAL || source > PGC_S_DATABASE_USER ||
			(is_policy(settings[i]) &&
			 (source == PGC_S_GLOBAL || source == PGC_S_DATABASE)))
			continue;
		changed = lappend(changed, settings[i]);
	}
	foreach(cell, changed)
	{
		const struct config_generic *setting = lfirst(cell);
		const char *value = value_of(setting->name);

		if (is_policy(setting))
			value = policy_of_database(setting->name);
		else if (strcmp(setting->name, "client_encoding") == 0)
			value = GetDatabaseEncodingName();
		/* Skip a setting that exists only because the catalog names it. */
		if (value != NULL)
			(void) set_config_option(setting->name, value, PGC_SUSET,
									 PGC_S_OVERRIDE, GUC_ACTION_SET, true,
									 DEBUG1, false);
	}
	list_free(changed);
}

static bool
is_policy(const struct config_generic *setting)
{
	return setting->context == PGC_SUSET &&
		strncmp(setting->name, "kms.", strlen("kms.")) == 0;
}

/*
 * Return the postmaster's value, or NULL if it does not know the setting or a
 * session cannot set it.
 */
static const char *
value_of(const char *name)
{
	int			i;

	for (i = 0; i < remembered_count; i++)
	{
		if (pg_strcasecmp(remembered[i].name, name) == 0)
			return remembered[i].value;
	}
	return NULL;
}

/*
 * Return the value that the database or the server has for all roles.  A value
 * of the role may have hidden it, so read the catalog.
 */
static const char *
policy_of_database(const char *name)
{
	Relation	rel;
	char	   *value;

	StartTransactionCommand();
	rel = table_open(DbRoleSettingRelationId, AccessShareLock);
	value = find_in_catalog(rel, MyDatabaseId, name);
	if (value == NULL)
		value = find_in_catalog(rel, InvalidOid, name);
	if (value != NULL)
		value = MemoryContextStrdup(TopMemoryContext, value);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	return value != NULL ? value : value_of(name);
}

/*
 * Return the value that the database, or the server if database_oid is
 * InvalidOid, sets for all roles, or NULL.
 */
static char *
find_in_catalog(Relation rel, Oid database_oid, const char *name)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *value = NULL;

	ScanKeyInit(&keys[0], Anum_pg_db_role_setting_setdatabase,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(database_oid));
	ScanKeyInit(&keys[1], Anum_pg_db_role_setting_setrole,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(InvalidOid));
	scan = systable_beginscan(rel, DbRoleSettingDatidRolidIndexId, true, NULL,
							  2, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		array = heap_getattr(tuple,
										 Anum_pg_db_role_setting_setconfig,
										 RelationGetDescr(rel), &isnull);

		if (!isnull)
			value = find_in_array(array, name);
	}
	systable_endscan(scan);
	return value;
}

/* Return the value of a setting in an array of "name=value" texts, or NULL. */
static char *
find_in_array(Datum array, const char *name)
{
	Datum	   *items;
	bool	   *nulls;
	int			count;
	int			i;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false,
					  TYPALIGN_INT, &items, &nulls, &count);
	for (i = 0; i < count; i++)
	{
		char	   *item = nulls[i] ? "" : TextDatumGetCString(items[i]);
		size_t		len = strlen(name);

		if (pg_strncasecmp(item, name, len) == 0 && item[len] == '=')
			return item + len + 1;
	}
	return NULL;
}
