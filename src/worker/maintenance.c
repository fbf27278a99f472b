#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "worker/maintenance.h"

#include "keys/maintain.h"
#include "keys/service.h"
#include "pg/compat.h"
#include "pg/settings.h"
#include "shmem/progress.h"
#include "worker/worker.h"

#define TIME_BUDGET_MS 60000

typedef struct Maintenance
{
	KmsWorker	worker;
	bool		present;
	KmsTask		task;
	bool		more;			/* of this task is left */
} Maintenance;

static void look(void *arg);
static void batch(void *arg);

void
kms_maintenance_main(Datum arg)
{
	static Maintenance maintenance;
	KmsWorker  *worker = &maintenance.worker;
	KmsWorkerError error;
	TimestampTz start = GetCurrentTimestamp();
	KmsWorkerOrder order;
	bool		good;
	bool		present;
	bool		unfinished = false;

	kms_worker_order(&order);
	kms_worker_start(worker, &order);

	/*
	 * Maintenance runs less often than the writer, so it waits longer for
	 * locks.
	 */
	SetConfigOption("lock_timeout", "800ms", PGC_SUSET, PGC_S_OVERRIDE);
	pg_atomic_write_u32(&worker->database->worker[KMS_MAINTENANCE].requested,
						KMS_REQUEST_NONE);
	pg_memory_barrier();

	good = kms_worker_try(look, &maintenance, &error);
	if (good && !maintenance.present)
	{
		kms_worker_absent(worker);
		kms_worker_end(worker);
	}
	present = good;
	if (present && !kms_worker_present(worker))
		kms_worker_end(worker);

	kms_progress_begin("maintenance");
	for (maintenance.task = 0;
		 present && kms_maintenance && maintenance.task < KMS_TASK_COUNT;
		 maintenance.task++)
	{
		KmsWorkerError task_error;

		/* A task that fails does not prevent the others. */
		do
		{
			maintenance.more = false;
			if (!kms_worker_try(batch, &maintenance, &task_error))
			{
				good = false;
				error = task_error;
			}
			if (kms_worker_must_leave(worker))
				kms_worker_end(worker);
		} while (maintenance.more &&
				 !TimestampDifferenceExceeds(start, GetCurrentTimestamp(),
											 TIME_BUDGET_MS));
		unfinished = unfinished || maintenance.more;
	}
	kms_progress_end();

	if (good)
	{
		kms_worker_good(worker);
		LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
		worker->database->maintained_at = GetCurrentTimestamp();
		LWLockRelease(&kms_shared->lock);

		/* If the time is over, let others have a turn first. */
		if (unfinished)
			kms_shared_request(worker->database, KMS_MAINTENANCE);
	}
	else
	{
		kms_worker_failed(worker, &error);
		kms_shared_request(worker->database, KMS_MAINTENANCE);
	}
	kms_worker_end(worker);
}

static void
look(void *arg)
{
	Maintenance *maintenance = arg;

	kms_worker_begin("looking for extension kms");
	maintenance->present = OidIsValid(kms_worker_extension());
	kms_worker_commit();
}

static void
batch(void *arg)
{
	Maintenance *maintenance = arg;
	KmsTaskResult result;
	KmsClock	clock;

	kms_worker_reload();

	/*
	 * With kms.keygen_workers = 0 this task would generate the keys itself.
	 * Do not do that here, because it takes a whole core.
	 */
	if (maintenance->task == KMS_TASK_POOL && kms_keygen_workers == 0)
		return;
	kms_worker_begin("maintaining keys, events and metrics");
	kms_service_require();
	kms_clock_advance(false, &clock);
	kms_maintain_run(maintenance->task, &clock, false, &result);
	kms_worker_commit();
	maintenance->more = result.more;
	pgstat_report_stat(true);
}
