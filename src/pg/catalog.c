#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "pg/catalog.h"

#include "pg/compat.h"
#include "pg/fault.h"

/*
 * Each step of a look-up may receive an invalidation, so the results of the
 * steps may not belong together.  Repeat the look-up as long as that happens,
 * but not for ever, because a server that is built to discard its caches at
 * every step would never finish.
 */
#define LOOK_UP_ATTEMPTS 8

static KmsCatalog catalog;
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
static Oid	owner_of(Oid extension);

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
	if (!catalog_valid || !OidIsValid(relid) || relid == catalog.key ||
		relid == catalog.key_secret || relid == catalog.denial ||
		relid == catalog.pepper || relid == catalog.audit_key ||
		relid == catalog.pool_key)
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

	memset(&catalog, 0, sizeof(catalog));
	catalog.extension = get_extension_oid("kms", true);
	if (OidIsValid(catalog.extension))
		catalog.owner = owner_of(catalog.extension);
	if (!OidIsValid(schema))
		return;
	catalog.key = get_relname_relid("key", schema);
	catalog.key_pkey = get_relname_relid("key_pkey", schema);
	catalog.key_device_idx = get_relname_relid("key_device_idx", schema);
	catalog.key_secret = get_relname_relid("key_secret", schema);
	catalog.key_secret_pkey = get_relname_relid("key_secret_pkey", schema);
	catalog.key_secret_master_key_idx =
		get_relname_relid("key_secret_master_key_idx", schema);
	catalog.denial = get_relname_relid("denial", schema);
	catalog.denial_key_idx = get_relname_relid("denial_key_idx", schema);
	catalog.pepper = get_relname_relid("pepper", schema);
	catalog.pepper_pkey = get_relname_relid("pepper_pkey", schema);
	catalog.audit_key = get_relname_relid("audit_key", schema);
	catalog.audit_key_pkey = get_relname_relid("audit_key_pkey", schema);
	catalog.pool_key = get_relname_relid("pool_key", schema);
	catalog.pool_key_pkey = get_relname_relid("pool_key_pkey", schema);
}

static bool
is_complete(void)
{
	return OidIsValid(catalog.extension) &&
		OidIsValid(catalog.key) && OidIsValid(catalog.key_pkey) &&
		OidIsValid(catalog.key_device_idx) &&
		OidIsValid(catalog.key_secret) &&
		OidIsValid(catalog.key_secret_pkey) &&
		OidIsValid(catalog.key_secret_master_key_idx) &&
		OidIsValid(catalog.denial) && OidIsValid(catalog.denial_key_idx) &&
		OidIsValid(catalog.pepper) && OidIsValid(catalog.pepper_pkey) &&
		OidIsValid(catalog.audit_key) &&
		OidIsValid(catalog.audit_key_pkey) &&
		OidIsValid(catalog.pool_key) && OidIsValid(catalog.pool_key_pkey);
}

/*
 * Return the owner of the extension.  REASSIGN OWNED changes that owner
 * together with the owner of the tables, which invalidates the cache; ALTER
 * TABLE … OWNER TO changes only the owner of a table.
 */
static Oid
owner_of(Oid extension)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return owner;
}
