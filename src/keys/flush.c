#include "postgres.h"

#include "access/xlog.h"

#include "keys/flush.h"

#include "pg/fault.h"
#include "shmem/wait.h"

void
kms_flush_events(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("events are not written to tables on a standby"),
				 errhint("Run it on the primary."),
				 KMS_HIDE_STATEMENT));
	if (!kms_wait_flush(-1))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the event writer of kms cannot write: %s",
						kms_wait_obstacle()),
				 errhint("Run kms_check() to see why."),
				 KMS_HIDE_STATEMENT));
}
