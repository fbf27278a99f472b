#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "pg/catalog.h"

#include "pg/compat.h"
#include "pg/extension.h"
#include "pg/fault.h"

/*
 * Each step of a look-up may receive an invalidation, so the results of the
 * steps may not belong together.  Repeat the look-up as long as that happens,
 * but not for ever, because a server that is built to discard its caches at
 * every step would never finish.
 */
#define LOOK_UP_ATTEMPTS 8

static KmsCatalog catalog;

/* The tables and indexes of schema kms that C opens by OID. */
static const struct
{
	const char *name;
	Oid		   *oid;
	bool		is_table;
}			objects[] =

{
	{"key", &catalog.key, true},
	{"key_pkey", &catalog.key_pkey, false},
	{"key_device_idx", &catalog.key_device_idx, false},
	{"key_secret", &catalog.key_secret, true},
	{"key_secret_pkey", &catalog.key_secret_pkey, false},
	{"key_secret_master_key_idx", &catalog.key_secret_master_key_idx, false},
	{"denial", &catalog.denial, true},
	{"denial_key_idx", &catalog.denial_key_idx, false},
	{"pepper", &catalog.pepper, true},
	{"pepper_pkey", &catalog.pepper_pkey, false},
	{"audit_key", &catalog.audit_key, true},
	{"audit_key_pkey", &catalog.audit_key_pkey, false},
	{"field_key", &catalog.field_key, true},
	{"field_key_pkey", &catalog.field_key_pkey, false},
	{"field_key_id_key", &catalog.field_key_id_key, false},
	{"field_key_master_key_idx", &catalog.field_key_master_key_idx, false},
	{"pool_key", &catalog.pool_key, true},
	{"pool_key_pkey", &catalog.pool_key_pkey, false}
};
static bool catalog_complete = false;
static bool catalog_valid = false;
static bool callback_registered = false;

/*
 * Counts invalidations of the catalog, and any invalidation during a look-up.
 */
static uint64 invalidations = 0;

static void forget_owner(Datum arg, int cache, uint32 hash);
static void invalidate(Datum arg, Oid relid);
pg_noreturn static void report_absence(void);
static void renew(void);
static void look_up(void);
static void find_objects(void);
static bool is_complete(void);

const KmsCatalog *
kms_catalog(void)
{
	renew();
	if (!catalog_complete && OidIsValid(catalog.extension))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a table or index of extension kms is missing"),
				 errhint("kms_check() names it; restore it from a backup."),
				 KMS_HIDE_STATEMENT));
	if (!catalog_complete)
		report_absence();
	return &catalog;
}

Oid
kms_catalog_extension(void)
{
	renew();
	if (!OidIsValid(catalog.extension))
		report_absence();
	return catalog.extension;
}

Oid
kms_catalog_owner(void)
{
	(void) kms_catalog_extension();
	return catalog.owner;
}

static void
report_absence(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("extension kms is not installed in this database"),
			 errhint("Run CREATE EXTENSION kms."),
			 KMS_HIDE_STATEMENT));
}

static void
renew(void)
{
	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHOID, forget_owner, (Datum) 0);
		callback_registered = true;
	}
	AcceptInvalidationMessages();
	if (!catalog_valid)
		look_up();
}

/*
 * The owner may have changed since, because a role that is dropped owns
 * nothing.
 */
static void
forget_owner(Datum arg, int cache, uint32 hash)
{
	catalog_valid = false;
	invalidations++;
}

/* If the catalog is not valid, any table may matter. */
static void
invalidate(Datum arg, Oid relid)
{
	bool		matters = !catalog_valid || !OidIsValid(relid);
	int			i;

	for (i = 0; i < (int) lengthof(objects) && !matters; i++)
		matters = objects[i].is_table && *objects[i].oid == relid;
	if (matters)
	{
		catalog_valid = false;
		invalidations++;
	}
}

static void
look_up(void)
{
	uint64		before;
	int			attempt = 0;

	do
	{
		before = invalidations;
		find_objects();
		attempt++;
	} while (invalidations != before && attempt < LOOK_UP_ATTEMPTS);
	catalog_complete = is_complete();
	catalog_valid = catalog_complete && invalidations == before;
}

/* Look up all objects.  A missing object leaves InvalidOid. */
static void
find_objects(void)
{
	Oid			schema = get_namespace_oid("kms", true);
	int			i;

	memset(&catalog, 0, sizeof(catalog));
	catalog.extension = get_extension_oid("kms", true);

	/*
	 * REASSIGN OWNED changes the owner together with that of the tables,
	 * which invalidates what is found here.
	 */
	if (OidIsValid(catalog.extension))
		catalog.owner = kms_extension_owner(catalog.extension);
	if (!OidIsValid(schema))
		return;
	for (i = 0; i < (int) lengthof(objects); i++)
		*objects[i].oid = get_relname_relid(objects[i].name, schema);
}

static bool
is_complete(void)
{
	int			i;

	for (i = 0; i < (int) lengthof(objects); i++)
	{
		if (!OidIsValid(*objects[i].oid))
			return false;
	}
	return OidIsValid(catalog.extension);
}
