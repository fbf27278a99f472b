#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "pg/owner.h"

#include "pg/catalog.h"

/* PostgreSQL never looks for operators or functions in pg_temp. */
#define SEARCH_PATH "pg_catalog, pg_temp"

static void enter(KmsOwnerScope *scope, Oid user);

void
kms_owner_enter(KmsOwnerScope *scope)
{
	enter(scope, kms_catalog_owner());
}

void
kms_owner_enter_superuser(KmsOwnerScope *scope)
{
	enter(scope, BOOTSTRAP_SUPERUSERID);
}

static void
enter(KmsOwnerScope *scope, Oid user)
{
	GetUserIdAndSecContext(&scope->user, &scope->security);
	scope->settings = NewGUCNestLevel();
	SetUserIdAndSecContext(user, scope->security |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	(void) set_config_option("search_path", SEARCH_PATH,
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

void
kms_owner_leave(const KmsOwnerScope *scope)
{
	AtEOXact_GUC(false, scope->settings);
	SetUserIdAndSecContext(scope->user, scope->security);
}

void
kms_owner_require(void)
{
	if (strcmp(namespace_search_path, SEARCH_PATH) != 0)
		elog(ERROR, "a statement of kms runs outside of its search path");
}
