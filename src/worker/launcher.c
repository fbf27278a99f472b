/*
 * The launcher: one process per server.  It starts at consistent state, and is
 * connected to shared catalogs only.  In each round it
 *
 * - reads the master keys, at the start and at each reload (key_source.c);
 * - requests maintenance and key generation for all databases after a reload
 *   or a change of the master keys, because maintenance reports rows whose
 *   master key is gone, and the pools depend on the master keys and on the
 *   size of keys;
 * - logs once a day if a month has no master key (kms.master_key_epochs);
 * - once recovery has ended, probes new databases (databases.c), starts
 *   workers (schedule.c, children.c), and clears up after databases that are
 *   gone.
 *
 * docs/design/workers.md describes how the workers take turns.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "worker/launcher.h"

#include "keys/month_key.h"
#include "pg/protect.h"
#include "shmem/master.h"
#include "shmem/shared.h"
#include "worker/children.h"
#include "worker/databases.h"
#include "worker/drop_guard.h"
#include "worker/key_source.h"
#include "worker/next_round.h"
#include "worker/reserved_writer.h"
#include "worker/schedule.h"
#include "worker/worker.h"
#include "worker/worker_settings.h"

#define FAILED_PAUSE_MS		1000	/* after a round that raised an error */
#define RECOVERY_POLL_MS	1000
#define COMMAND_POLL_MS		20	/* while kms.master_key_command runs */

static bool key_read = false;	/* read since the last start or reload */
static uint64 key_generation = 0;	/* for which the pools were checked */
static TimestampTz epochs_at = 0;	/* last check for months without a key */

static void detach(int code, Datum arg);
static void run_round(void *arg);
static void request_keys(void);
static void watch_epochs(TimestampTz now);

void
kms_launcher_install(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "kms", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "kms_launcher_main",
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "kms launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "kms launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
	kms_reserved_writer_install();
	kms_drop_guard_install();
}

void
kms_launcher_main(Datum arg)
{
	kms_children_prepare();
	kms_schedule_prepare();
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	ConfigReloadPending = true;
	BackgroundWorkerUnblockSignals();
	kms_worker_settings_pin("kms launcher", false);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	kms_worker_settings_reset();
	kms_protect_process();

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	kms_shared->launcher_pid = MyProcPid;
	kms_shared->launcher_came = true;
	kms_shared->launcher_latch = MyLatch;
	LWLockRelease(&kms_shared->lock);
	before_shmem_exit(detach, (Datum) 0);

	for (;;)
	{
		KmsWorkerError error;

		ResetLatch(MyLatch);
		kms_next_round_clear();
		if (!kms_worker_try(run_round, NULL, &error))
		{
			if (error.sqlstate != ERRCODE_QUERY_CANCELED)
				ereport(LOG,
						(errcode(error.sqlstate),
						 errmsg("kms launcher: %s", error.message)));
			kms_next_round_after(GetCurrentTimestamp(), FAILED_PAUSE_MS);
		}
		kms_next_round_await();
	}
}

static void
detach(int code, Datum arg)
{
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	kms_shared->launcher_pid = 0;
	kms_shared->launcher_latch = NULL;
	LWLockRelease(&kms_shared->lock);
}

static void
run_round(void *arg)
{
	TimestampTz now = GetCurrentTimestamp();

	if (ConfigReloadPending || !key_read)
	{
		key_read = false;		/* in case one of these raises an error */
		kms_worker_reload();
		kms_key_source_read();
		request_keys();
		key_read = true;
		epochs_at = 0;
	}
	if (kms_key_source_poll())
		kms_next_round_after(now, COMMAND_POLL_MS);
	if (key_generation != kms_master_generation())
	{
		key_generation = kms_master_generation();
		epochs_at = 0;
		request_keys();
	}
	watch_epochs(now);
	if (RecoveryInProgress())
	{
		kms_next_round_after(now, RECOVERY_POLL_MS);
		return;
	}

	kms_databases_list(now);
	kms_children_reap(now);
	kms_databases_sweep(now);
	kms_databases_free_unused();
	kms_databases_probe(now);
	kms_schedule_start_workers(now);
}

/*
 * Request key generation and maintenance for all databases that have the
 * extension.
 */
static void
request_keys(void)
{
	int			slot;

	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		KmsDatabase *database = &kms_shared->databases[slot];

		if (!OidIsValid(database->oid) || !database->has_extension)
			continue;
		kms_shared_request(database, KMS_KEYGEN);
		kms_shared_request(database, KMS_MAINTENANCE);
	}
}

static void
watch_epochs(TimestampTz now)
{
	bool		already;
	char	   *missing;

	if (epochs_at <= now &&
		now - epochs_at < USECS_PER_DAY)
		return;
	epochs_at = now;
	missing = kms_month_key_missing(&already);
	if (missing == NULL)
		return;
	ereport(LOG,
			(errmsg("kms: %s", missing),
			 errhint("Add it to the master keys and reload the server; see kms.master_key_epochs.")));
	pfree(missing);
}
