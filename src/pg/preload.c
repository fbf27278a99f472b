#include "postgres.h"

#include "pg/preload.h"

#include "pg/fault.h"

bool		kms_preload_done = false;

void
kms_preload_require(void)
{
	if (!kms_preload_done)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("kms is not loaded by the server"),
				 errhint("Add kms to shared_preload_libraries in postgresql.conf and restart the server."),
				 KMS_HIDE_STATEMENT));
}
