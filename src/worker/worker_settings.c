/*
 * ALTER DATABASE … SET and ALTER ROLE … SET reach background workers as they do
 * sessions, and the owner of a database may set what he likes: to end a worker
 * at its first error, to have it act as another role, to keep it from its
 * tables.
 *
 * A setting of a higher source is not overridden by one of a lower.  So what
 * workers rely on is set as PGC_S_OVERRIDE before they connect.  The rest is
 * too much to name and differs between versions: it is remembered as the
 * postmaster has it, and whatever differs after connecting because of a
 * database or a role is set back.
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

/* Each that this version of PostgreSQL has is set. */
static const struct
{
	const char *name;
	const char *value;
}			fixed[] = {

	/* who it is, and what becomes of it */
	{"exit_on_error", "off"},
	{"role", "none"},
	{"kms.audit_context", ""},
	{"session_replication_role", "origin"},
	{"row_security", "on"},
	{"restrict_nonsystem_relation_kind", ""},

	/*
	 * How long it may take.  The lock_timeout is shorter than
	 * deadlock_timeout (1 s unless set): in a deadlock with a user's DDL it
	 * is always the worker that gives up.  It tries again.
	 */
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	{"lock_timeout", "300ms"},
	{"statement_timeout", "0"},
	{"transaction_timeout", "0"},

	/* its transactions */
	{"default_transaction_deferrable", "off"},
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"synchronous_commit", "local"},

	/* what its statements mean, and where they write */
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

	/* what they cost; slots of parallel workers are for others */
	{"jit", "off"},
	{"max_parallel_workers_per_gather", "0"}
};

/* A setting as the postmaster has it; names are the server's own. */
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

	/* the one that cannot be fixed before the catalogs can be read */
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
		/* not a setting that only the catalog has made up */
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

/* As the postmaster has it; NULL if it does not, or it is none for sessions. */
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

/* A value of the role has hidden it. */
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

/* What the database, or with InvalidOid the server, sets for all roles. */
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

/* Of an array of "name=value". */
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
