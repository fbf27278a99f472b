#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "worker/maintenance.h"

#include "keys/maintenance.h"
#include "pg/compat.h"
#include "pg/settings.h"
#include "worker/worker.h"

#define TIME_BUDGET_MS 60000

typedef struct Maintenance
{
	KmsWorker	worker;
	bool		present;
	bool		more;
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
	bool		good;

	kms_worker_start(worker, KMS_MAINTENANCE, "kms maintenance");
	SetConfigOption("lock_timeout", "5s", PGC_SUSET, PGC_S_OVERRIDE);
	pg_atomic_write_u32(&worker->database->worker[KMS_MAINTENANCE].requested,
						KMS_REQUEST_NONE);
	pg_memory_barrier();

	good = kms_worker_try(look, &maintenance, &error);
	if (good && !maintenance.present)
	{
		kms_worker_absent(worker);
		proc_exit(0);
	}
	if (good)
		kms_worker_present(worker);

	maintenance.more = kms_maintenance;
	while (good && maintenance.more && !kms_worker_must_leave(worker) &&
		   !TimestampDifferenceExceeds(start, GetCurrentTimestamp(),
									   TIME_BUDGET_MS))
		good = kms_worker_try(batch, &maintenance, &error);

	if (good)
	{
		kms_worker_good(worker);
		LWLockAcquire(&kms_state->lock, LW_EXCLUSIVE);
		worker->database->maintained_at = GetCurrentTimestamp();
		LWLockRelease(&kms_state->lock);

		/* over its time: others first, then again */
		if (maintenance.more && kms_maintenance)
			kms_state_request(worker->database, KMS_MAINTENANCE);
	}
	else
	{
		kms_worker_failed(worker, &error);
		kms_state_request(worker->database, KMS_MAINTENANCE);
	}
	worker->leaving = true;
	proc_exit(0);
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

	kms_worker_reload();
	kms_worker_begin("maintaining keys, events and metrics");
	maintenance->more = kms_maintenance_batch();
	kms_worker_commit();
	pgstat_report_stat(true);
}
