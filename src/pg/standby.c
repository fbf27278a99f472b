#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/backend_status.h"
#include "utils/timestamp.h"

#include "pg/standby.h"

#include "pg/compat.h"

bool
kms_standby_named(void)
{
	return max_wal_senders > 0 && SyncRepStandbyNames != NULL &&
		SyncRepStandbyNames[0] != '\0';
}

const char *
kms_standby_names(void)
{
	return SyncRepStandbyNames;
}

int
kms_standby_wanted(int *connected)
{
	SyncRepStandbyData *standbys;

	*connected = 0;
	if (!kms_standby_named() || SyncRepConfig == NULL)
		return 0;
	*connected = SyncRepGetCandidateStandbys(&standbys);
	return SyncRepConfig->num_sync;
}

bool
kms_standby_awaited(void)
{
	return synchronous_commit > SYNCHRONOUS_COMMIT_LOCAL_FLUSH;
}

bool
kms_standby_has(uint64 position)
{
	int			mode = synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_WRITE ?
	SYNC_REP_WAIT_WRITE :
	synchronous_commit == SYNCHRONOUS_COMMIT_REMOTE_APPLY ?
	SYNC_REP_WAIT_APPLY : SYNC_REP_WAIT_FLUSH;
	bool		has;

	if (!kms_standby_named())
		return false;
	LWLockAcquire(SyncRepLock, LW_SHARED);
	has = position <= WalSndCtl->lsn[mode];
	LWLockRelease(SyncRepLock);
	return has;
}

int
kms_standby_waiters(int seconds, int *pid)
{
	TimestampTz now = GetCurrentTimestamp();
	int			count = 0;
	int			i;

	*pid = 0;
	pgstat_clear_backend_activity_snapshot();
	for (i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		LocalPgBackendStatus *local = pgstat_get_local_beentry_by_index(i);
		const PgBackendStatus *status = &local->backendStatus;
		volatile PGPROC *proc;

		if (status->st_databaseid != MyDatabaseId ||
			!TimestampDifferenceExceeds(status->st_activity_start_timestamp,
										now, seconds * 1000))
			continue;
		proc = BackendPidGetProc(status->st_procpid);
		if (proc == NULL || proc->syncRepState != SYNC_REP_WAITING)
			continue;
		*pid = status->st_procpid;
		count++;
	}
	pgstat_clear_backend_activity_snapshot();
	return count;
}
