#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/pidfile.h"

#include "worker/clean_stop.h"

#include "pg/compat.h"
#include "shmem/shared.h"

static volatile sig_atomic_t noted = false;

static void on_sigterm(SIGNAL_ARGS);
static bool is_own(int pid);

void
kms_clean_stop_defer(void)
{
	pqsignal(SIGTERM, on_sigterm);
}

/* The signal may come twice: to the process and to its process group. */
static void
on_sigterm(SIGNAL_ARGS)
{
	int			saved_errno = errno;

	noted = true;
	SetLatch(MyLatch);
	errno = saved_errno;
}

void
kms_clean_stop_allow(void)
{
	pqsignal(SIGTERM, die);
	if (noted)
		kms_clean_stop_end();
}

bool
kms_clean_stop_requested(void)
{
	return noted;
}

/* The postmaster updates postmaster.pid before it signals any process. */
bool
kms_clean_stop_of_server(void)
{
	FILE	   *file = AllocateFile("postmaster.pid", "r");
	char		line[MAXPGPATH] = "";
	int			i;

	if (file == NULL)
		return false;
	for (i = 0; i < LOCK_FILE_LINE_PM_STATUS; i++)
	{
		if (fgets(line, sizeof(line), file) == NULL)
			line[0] = '\0';
	}
	FreeFile(file);
	return strncmp(line, PM_STATUS_STOPPING, strlen(PM_STATUS_STOPPING)) == 0;
}

/*
 * A process that is no longer in this list has recorded its last event.
 * Walsenders are left out: they stay until all other processes are gone, and
 * kms serves no calls in them.
 */
int
kms_clean_stop_count_others(Oid database_oid)
{
	int			count = 0;
	int			i;

	pgstat_clear_backend_activity_snapshot();
	for (i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		LocalPgBackendStatus *local = pgstat_get_local_beentry_by_index(i);
		const PgBackendStatus *status = &local->backendStatus;

		if ((database_oid == InvalidOid ||
			 status->st_databaseid == database_oid) &&
			OidIsValid(status->st_databaseid) &&
			(status->st_backendType == B_BACKEND ||
			 (status->st_backendType == B_BG_WORKER &&
			  !is_own(status->st_procpid))))
			count++;
	}
	pgstat_clear_backend_activity_snapshot();
	return count;
}

static bool
is_own(int pid)
{
	int			slot;
	int			number;

	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		for (number = 0; number < KMS_WORKERS; number++)
		{
			volatile KmsWorkerState *state =
			&kms_shared->databases[slot].worker[number];

			if (state->pid == pid)
				return true;
		}
	}
	return pid == MyProcPid;
}

void
kms_clean_stop_end(void)
{
	ProcDiePending = true;
	InterruptPending = true;
	CHECK_FOR_INTERRUPTS();
	proc_exit(1);
}
