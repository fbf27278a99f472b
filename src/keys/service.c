#include "postgres.h"

#include "access/xlog.h"
#include "replication/walsender.h"

#include "keys/service.h"

#include "crypto/self_test.h"
#include "pg/catalog.h"
#include "pg/fault.h"
#include "pg/preload.h"
#include "pg/settings.h"
#include "shmem/session_ring.h"
#include "shmem/shared.h"

/* the known-answer test that failed, or NULL */
static const char *broken = NULL;

void
kms_service_install(void)
{
	if (kms_self_test_run(&broken) == KMS_OK)
		broken = NULL;
	else
		ereport(WARNING,
				(errmsg("kms does not serve: self-test failed: %s", broken),
				 KMS_HIDE_STATEMENT));
}

void
kms_service_require(void)
{
	kms_service_require_library();

	/* a standby records nothing, so it needs no place */
	if (kms_shared_database() == NULL && !RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("too many databases of this server use kms"),
				 errdetail_plural("%d database is served already.",
								  "%d databases are served already.",
								  kms_max_databases, kms_max_databases),
				 errhint("Raise kms.max_databases in postgresql.conf and restart the server."),
				 KMS_HIDE_STATEMENT));
}

void
kms_service_require_library(void)
{
	kms_preload_require();

	/* a walsender ends after the writers, which could not record its calls */
	if (am_walsender)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("kms is not served over a replication connection"),
				 errhint("Connect without the parameter \"replication\"."),
				 KMS_HIDE_STATEMENT));
	if (broken != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("kms does not serve: self-test failed: %s", broken),
				 errhint("Look at the server's OpenSSL library and its configuration."),
				 KMS_HIDE_STATEMENT));
	kms_session_ring_bind(kms_catalog_extension());
}
