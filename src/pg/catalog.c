#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "pg/catalog.h"

static KmsCatalog catalog;
static bool catalog_valid = false;
static bool callback_registered = false;

static void invalidate(Datum arg, Oid relid);
static void look_up(void);

const KmsCatalog *
kms_catalog(void)
{
	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(invalidate, (Datum) 0);
		callback_registered = true;
	}
	AcceptInvalidationMessages();
	if (!catalog_valid)
		look_up();
	return &catalog;
}

static void
invalidate(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == catalog.key ||
		relid == catalog.key_secret || relid == catalog.denial ||
		relid == catalog.pepper || relid == catalog.audit_key ||
		relid == catalog.pool_key)
		catalog_valid = false;
}

static void
look_up(void)
{
	Oid			schema = get_namespace_oid("kms", true);
	HeapTuple	tuple;

	memset(&catalog, 0, sizeof(catalog));
	catalog.extension = get_extension_oid("kms", true);
	if (OidIsValid(schema))
	{
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
	if (!OidIsValid(catalog.extension) || !OidIsValid(catalog.key) ||
		!OidIsValid(catalog.key_pkey) || !OidIsValid(catalog.key_device_idx) ||
		!OidIsValid(catalog.key_secret) || !OidIsValid(catalog.key_secret_pkey) ||
		!OidIsValid(catalog.key_secret_master_key_idx) ||
		!OidIsValid(catalog.denial) || !OidIsValid(catalog.denial_key_idx) ||
		!OidIsValid(catalog.pepper) || !OidIsValid(catalog.pepper_pkey) ||
		!OidIsValid(catalog.audit_key) || !OidIsValid(catalog.audit_key_pkey) ||
		!OidIsValid(catalog.pool_key) || !OidIsValid(catalog.pool_key_pkey))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension kms is not installed in this database"),
				 errhint("Run CREATE EXTENSION kms.")));

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(catalog.key));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", catalog.key);
	catalog.owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	catalog_valid = true;
}

void
kms_owner_enter(KmsOwnerScope *scope)
{
	Oid			owner = kms_catalog()->owner;

	GetUserIdAndSecContext(&scope->user, &scope->security);
	scope->settings = NewGUCNestLevel();
	SetUserIdAndSecContext(owner, scope->security |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

void
kms_owner_leave(const KmsOwnerScope *scope)
{
	AtEOXact_GUC(false, scope->settings);
	SetUserIdAndSecContext(scope->user, scope->security);
}
