#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/bufmgr.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "worker/worker.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/protect.h"
#include "pg/settings.h"
#include "shmem/session_ring.h"
#include "worker/clean_stop.h"
#include "worker/worker_settings.h"

#define BACKOFF_FIRST_MS	200
#define LOG_PAUSE_MS		60000
#define ABSENT_PAUSE_MS		1000	/* pause before the next look for the
									 * extension */

static void attach(KmsWorker *worker);
static void detach(int code, Datum arg);
static bool is_hopeless(int sqlstate);
static void read_name(void *arg);
static void note_error(KmsWorkerError *error, const ErrorData *edata);

void
kms_worker_order(KmsWorkerOrder *order)
{
	memcpy(order, MyBgworkerEntry->bgw_extra, sizeof(*order));
}

void
kms_worker_start(KmsWorker *worker, const KmsWorkerOrder *order)
{
	worker->number = order->number;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	if (order->number == KMS_WRITER)
		kms_clean_stop_defer();
	else
		pqsignal(SIGTERM, die);
	/* A reload since the fork was ignored: see StartBackgroundWorker. */
	ConfigReloadPending = true;
	BackgroundWorkerUnblockSignals();

	kms_worker_settings_pin(MyBgworkerEntry->bgw_type,
							order->number == KMS_WRITER);

	/* ALLOW_CONNECTIONS false closes the database to users, not to us. */
	BackgroundWorkerInitializeConnectionByOid(order->database_oid, InvalidOid,
											  BGWORKER_BYPASS_ALLOWCONN);
	kms_worker_settings_reset();
	kms_protect_process();
	attach(worker);
	if (kms_worker_must_leave(worker))
		kms_worker_end(worker);
}

/*
 * Exit code 0 releases a background worker slot for good, and 1 keeps it; see
 * reserved_writer.c.
 */
void
kms_worker_end(KmsWorker *worker)
{
	worker->leaving = true;
	if (worker->reserved != NULL)
		worker->reserved->left_pid = MyProcPid;
	proc_exit(worker->reserved != NULL ? 1 : 0);
}

bool
kms_worker_must_leave(const KmsWorker *worker)
{
	volatile TimestampTz *until = &worker->database->closed_until;

	return kms_shared_pausing(*until, KMS_DROP_CLOSED_MS);
}

Oid
kms_worker_extension(void)
{
	return get_extension_oid("kms", true);
}

bool
kms_worker_present(KmsWorker *worker)
{
	KmsDatabase *database = worker->database;
	bool		first;

	if (!kms_shared_admit(database))
	{
		kms_worker_absent(worker);
		return false;
	}
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	first = !database->has_extension;
	database->has_extension = true;
	database->probed = true;
	LWLockRelease(&kms_shared->lock);

	/*
	 * The ring or the outbox may have kept events since before the server
	 * started.
	 */
	if (first && worker->number != KMS_WRITER)
		kms_shared_request(database, KMS_WRITER);

	/* The pool may be empty, and no round of maintenance may be due. */
	if (first)
		kms_shared_request(database, KMS_KEYGEN);
	return true;
}

/*
 * The session that creates the extension requests a worker after its commit.
 * Before that, each of its calls may request one, hence the pause.
 */
void
kms_worker_absent(KmsWorker *worker)
{
	KmsDatabase *database = worker->database;
	KmsWorkerState *state = &database->worker[worker->number];
	TimestampTz now = GetCurrentTimestamp();

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	database->has_extension = false;
	database->probed = true;
	state->heartbeat = now;
	state->failures = 0;
	state->hopeless = false;
	state->locked_out = false;
	state->not_before = TimestampTzPlusMilliseconds(now, ABSENT_PAUSE_MS);
	LWLockRelease(&kms_shared->lock);

	worker->leaving = true;
	worker->absent = true;
}

bool
kms_worker_try(void (*round) (void *arg), void *arg, KmsWorkerError *error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool good = true;

	PG_TRY();
	{
		CHECK_FOR_INTERRUPTS();
		round(arg);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		note_error(error, edata);
		FreeErrorData(edata);

		AbortOutOfAnyTransaction();
		LWLockReleaseAll();
		ConditionVariableCancelSleep();
		UnlockBuffers();
		pgstat_report_wait_end();
		pgstat_report_activity(STATE_IDLE, NULL);
		MemoryContextSwitchTo(context);
		RESUME_INTERRUPTS();
		good = false;
	}
	PG_END_TRY();
	return good;
}

void
kms_worker_good(KmsWorker *worker)
{
	KmsWorkerState *state = &worker->database->worker[worker->number];

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	state->heartbeat = GetCurrentTimestamp();
	state->failed_at = 0;
	state->failures = 0;
	state->hopeless = false;
	state->locked_out = false;
	state->not_before = 0;
	LWLockRelease(&kms_shared->lock);
}

void
kms_worker_failed(KmsWorker *worker, const KmsWorkerError *error)
{
	KmsWorkerState *state = &worker->database->worker[worker->number];
	TimestampTz now = GetCurrentTimestamp();
	bool		changed;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	changed = strcmp(state->last_error, error->message) != 0;
	strlcpy(state->last_error, error->message, sizeof(state->last_error));
	state->failed_at = now;
	state->failures++;
	state->hopeless = is_hopeless(error->sqlstate);
	state->locked_out = error->sqlstate == ERRCODE_LOCK_NOT_AVAILABLE;
	LWLockRelease(&kms_shared->lock);

	if (changed || worker->logged_at == 0 ||
		TimestampDifferenceExceeds(worker->logged_at, now, LOG_PAUSE_MS))
	{
		const char *name = kms_worker_database();

		worker->logged_at = now;
		ereport(LOG,
				(errcode(error->sqlstate),
				 errmsg("%s of database \"%s\": %s", MyBgworkerEntry->bgw_type,
						name, error->message),
				 KMS_HIDE_STATEMENT));
	}
}

const char *
kms_worker_database(void)
{
	static char name[NAMEDATALEN];
	KmsWorkerError ignored;

	if (!kms_worker_try(read_name, name, &ignored))
		snprintf(name, sizeof(name), "%u", MyDatabaseId);
	return name;
}

static void
read_name(void *arg)
{
	char	   *found;

	kms_worker_begin("looking for the name of the database");
	found = get_database_name(MyDatabaseId);
	if (found == NULL)
		elog(ERROR, "the database is gone");
	strlcpy(arg, found, NAMEDATALEN);
	kms_worker_commit();
}

int
kms_worker_failures(const KmsWorker *worker)
{
	return worker->database->worker[worker->number].failures;
}

long
kms_worker_backoff(int failures)
{
	if (failures <= 0)
		return 0;
	if (failures > 8)
		return KMS_WORKER_BACKOFF_MS;
	return Min(KMS_WORKER_BACKOFF_MS, BACKOFF_FIRST_MS << (failures - 1));
}

void
kms_worker_reload(void)
{
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

void
kms_worker_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, activity);
	StartTransactionCommand();
	/* A worker that waits for a standby does so after the commit. */
	(void) set_config_option("synchronous_commit", "local", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	/* SPI needs an active snapshot. */
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
kms_worker_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_activity(STATE_IDLE, NULL);
}

static void
attach(KmsWorker *worker)
{
	KmsWorkerState *state;

	worker->database = kms_shared_find(MyDatabaseId);
	if (worker->database == NULL)
		kms_worker_end(worker);

	state = &worker->database->worker[worker->number];
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	if (state->pid != 0 || worker->database->oid != MyDatabaseId)
	{
		/*
		 * The launcher was restarted, and has started a second worker or
		 * freed the slot.
		 */
		LWLockRelease(&kms_shared->lock);
		kms_worker_end(worker);
	}
	state->pid = MyProcPid;
	state->latch = MyLatch;
	LWLockRelease(&kms_shared->lock);
	before_shmem_exit(detach, PointerGetDatum(worker));
}

/*
 * The memory barrier pairs with those in kms_shared_request and
 * kms_events_push: see shmem/shared.c.
 */
static void
detach(int code, Datum arg)
{
	KmsWorker  *worker = (KmsWorker *) DatumGetPointer(arg);
	KmsWorkerState *state = &worker->database->worker[worker->number];

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	state->pid = 0;
	state->latch = NULL;
	if (worker->leaving)
		state->heartbeat = GetCurrentTimestamp();
	LWLockRelease(&kms_shared->lock);
	pg_memory_barrier();
	if (worker->number == KMS_WRITER && !worker->absent && kms_session_ring_pending())
		pg_atomic_write_u32(&state->requested, KMS_REQUEST_MADE);
	if (pg_atomic_read_u32(&state->requested) != KMS_REQUEST_NONE)
		kms_shared_wake_launcher();
}

/*
 * Return true if an operator has to act, for example because a table is
 * missing or was changed.  Locks, lack of space and a cancel are temporary.
 */
static bool
is_hopeless(int sqlstate)
{
	return ERRCODE_TO_CATEGORY(sqlstate) ==
		ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION;
}

/*
 * Keep only the message, because a detail may show a row.  The message of a
 * data exception shows the value, so replace it.
 */
static void
note_error(KmsWorkerError *error, const ErrorData *edata)
{
	error->sqlstate = edata->sqlerrcode;
	if (ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_DATA_EXCEPTION)
		snprintf(error->message, sizeof(error->message),
				 "an event could not be written (SQLSTATE %s)",
				 unpack_sql_state(edata->sqlerrcode));
	else
		strlcpy(error->message, edata->message ? edata->message : "",
				sizeof(error->message));
}
