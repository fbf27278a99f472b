/*
 * Writers that hold a background worker slot from the start of the server.
 * docs/design/workers.md says why, and how they take turns.
 *
 * A reserved writer always ends with exit code 1, because 0 would release its
 * slot for good.  The postmaster starts it again at once in the same slot
 * (bgw_restart_time 0), and logs each such exit.  on_log suppresses that line
 * if the process had noted in left_pid that it ends by its own decision.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"

#include "worker/reserved_writer.h"

#include "pg/settings.h"
#include "pg/wait_event.h"
#include "shmem/shared.h"
#include "worker/clean_stop.h"
#include "worker/writer.h"

static int	registered = 0;
static KmsReserved *mine = NULL;
static emit_log_hook_type previous_log_hook = NULL;

static void on_log(ErrorData *edata);
static Oid	await_order(void);
static void take_over(int *polls);
static void leave(int code, Datum arg);

void
kms_reserved_writer_install(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 0;
	strlcpy(worker.bgw_library_name, "kms", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "kms_reserved_writer_main",
			sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "kms writer", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "kms writer", sizeof(worker.bgw_type));
	for (registered = 0;
		 registered < Min(kms_reserved_writers, kms_max_workers); registered++)
	{
		worker.bgw_main_arg = Int32GetDatum(registered);
		RegisterBackgroundWorker(&worker);
	}
	if (registered < kms_reserved_writers)
		ereport(LOG,
				(errmsg("kms keeps %d background worker slots for writers, not the %d of kms.reserved_writers, because kms.max_workers includes them",
						registered, kms_reserved_writers),
				 errhint("Lower kms.reserved_writers, or raise kms.max_workers and restart the server.")));
	previous_log_hook = emit_log_hook;
	emit_log_hook = on_log;
}

int
kms_reserved_writer_count(void)
{
	return registered;
}

bool
kms_reserved_writer_waits(void)
{
	int			i;

	for (i = 0; i < registered; i++)
	{
		volatile KmsReserved *reserved = &kms_shared->reserved[i];

		if (reserved->pid != 0 && !OidIsValid(reserved->database))
			return true;
	}
	return false;
}

int
kms_reserved_writer_assign(Oid database_oid, int *pid)
{
	int			number = -1;
	int			i;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	for (i = 0; i < registered && number < 0; i++)
	{
		KmsReserved *reserved = &kms_shared->reserved[i];

		if (reserved->pid == 0 || OidIsValid(reserved->database))
			continue;
		reserved->database = database_oid;
		*pid = reserved->pid;
		SetLatch(reserved->latch);
		number = i;
	}
	LWLockRelease(&kms_shared->lock);
	return number;
}

bool
kms_reserved_writer_ended(int number, int pid)
{
	return *(volatile int *) &kms_shared->reserved[number].pid != pid;
}

bool
kms_reserved_writer_serves(Oid database_oid)
{
	int			i;

	for (i = 0; i < registered; i++)
	{
		if (*(volatile Oid *) &kms_shared->reserved[i].database == database_oid)
			return true;
	}
	return false;
}

void
kms_reserved_writer_main(Datum arg)
{
	KmsWorkerOrder order;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	kms_clean_stop_defer();
	BackgroundWorkerUnblockSignals();

	mine = &kms_shared->reserved[DatumGetInt32(arg)];
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	mine->pid = MyProcPid;
	mine->latch = MyLatch;
	mine->database = InvalidOid;
	kms_shared->reserved_came = true;
	LWLockRelease(&kms_shared->lock);
	before_shmem_exit(leave, (Datum) 0);
	kms_shared_wake_launcher();

	order.database_oid = await_order();
	order.number = KMS_WRITER;
	kms_writer_serve(&order, mine);
}

/*
 * Runs in the postmaster: suppress the line for a reserved writer that ended
 * by its own decision.
 */
static void
on_log(ErrorData *edata)
{
	int			i;

	if (previous_log_hook != NULL)
		previous_log_hook(edata);
	if (IsUnderPostmaster || kms_shared == NULL || edata->message == NULL ||
		edata->message_id == NULL ||
		strcmp(edata->message_id, "%s (PID %d) exited with exit code %d") != 0)
		return;
	for (i = 0; i < registered; i++)
	{
		int			pid = kms_shared->reserved[i].left_pid;
		char		digits[32];

		snprintf(digits, sizeof(digits), " %d)", pid);
		if (pid != 0 && strstr(edata->message, digits) != NULL)
			edata->output_to_server = false;
	}
}

/* Wait for an assignment.  Return the database to serve. */
static Oid
await_order(void)
{
	Oid			database_oid;
	int			polls = 0;

	for (;;)
	{
		bool		stopping;

		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		stopping = kms_clean_stop_requested();
		if (stopping)
			take_over(&polls);
		LWLockAcquire(&kms_shared->lock, LW_SHARED);
		database_oid = mine->database;
		LWLockRelease(&kms_shared->lock);
		if (OidIsValid(database_oid))
			return database_oid;
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH |
						 (stopping ? WL_TIMEOUT : 0),
						 stopping ? KMS_CLEAN_STOP_POLL_MS : -1, kms_wait_event(KMS_WAIT_RESERVED_IDLE));
	}
}

/*
 * Choose a database to serve while the server is being stopped, when the
 * postmaster starts no process any more.  First choice is a database whose
 * events have no writer; once there are no sessions left, any database that
 * has no writer and whose trail is not handed over yet.  End the process if
 * there is nothing to do.
 */
static void
take_over(int *polls)
{
	bool		idle = kms_clean_stop_count_others(InvalidOid) == 0;
	int			slot;

	if (!kms_clean_stop_of_server())
		kms_clean_stop_end();
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		KmsDatabase *database = &kms_shared->databases[slot];
		KmsWorkerState *writer = &database->worker[KMS_WRITER];
		bool		wanted =
		pg_atomic_read_u32(&writer->requested) != KMS_REQUEST_NONE;

		if (!OidIsValid(database->oid) || writer->pid != 0 ||
			kms_reserved_writer_serves(database->oid))
			continue;
		if (wanted ||
			(idle && database->has_extension && !database->handed_over &&
			 !OidIsValid(mine->database)))
			mine->database = database->oid;
		if (wanted)
			break;
	}
	LWLockRelease(&kms_shared->lock);
	if (!OidIsValid(mine->database) &&
		(idle || ++*polls > KMS_CLEAN_STOP_MOST_MS / KMS_CLEAN_STOP_POLL_MS))
		kms_clean_stop_end();
}

static void
leave(int code, Datum arg)
{
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	mine->pid = 0;
	mine->latch = NULL;
	mine->database = InvalidOid;
	LWLockRelease(&kms_shared->lock);
	kms_shared_wake_launcher();
}
