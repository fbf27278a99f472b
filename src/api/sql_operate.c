/*
 * The operator's and the DBA's functions: maintenance, master key, status,
 * version.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "crypto/openssl.h"
#include "crypto/self_test.h"
#include "keys/call.h"
#include "keys/check.h"
#include "keys/month_key.h"
#include "keys/check_unwritten.h"
#include "keys/maintain.h"
#include "keys/opened.h"
#include "keys/rewrap.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "shmem/session_ring.h"
#include "shmem/master.h"
#include "store/health.h"
#include "store/pool_table.h"
#include "store/wrapped.h"

/* The worst comes first. */
static const char *const severities[] = {"error", "warning", "notice"};

/* What kms_check() found. */
typedef struct Findings
{
	MemoryContext context;		/* of the call */
	TupleDesc	desc;
	List	   *rows[lengthof(severities)]; /* of HeapTuple */
} Findings;

static void put_use(ReturnSetInfo *result, const KmsMasterKeyUse *use,
					const KmsMasterStatus *status);
static void put_master_key(ReturnSetInfo *result, const unsigned char *id,
						   const char *label, const char *status, int64 keys,
						   int64 peppers, const char *detail);
static void put_status(ReturnSetInfo *result, const char *item,
					   const char *value);
static void put_count(ReturnSetInfo *result, const char *item, uint64 value);
static void put_worker(ReturnSetInfo *result, const char *name,
					   KmsWorkerState *worker);

static void report(void *arg, const char *severity, const char *finding,
				   const char *hint);

PG_FUNCTION_INFO_V1(kms_api_version);
PG_FUNCTION_INFO_V1(kms_api_maintain);
PG_FUNCTION_INFO_V1(kms_api_master_key_status);
PG_FUNCTION_INFO_V1(kms_api_rewrap_keys);
PG_FUNCTION_INFO_V1(kms_api_check);
PG_FUNCTION_INFO_V1(kms_api_self_test);
PG_FUNCTION_INFO_V1(kms_api_read_status);
PG_FUNCTION_INFO_V1(kms_api_start);

Datum
kms_api_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(KMS_VERSION));
}

/* The install script's last line: makes the database known to the launcher. */
Datum
kms_api_start(PG_FUNCTION_ARGS)
{
	kms_call_installed();
	PG_RETURN_VOID();
}

Datum
kms_api_maintain(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		confirm_purge = !PG_ARGISNULL(0) && PG_GETARG_BOOL(0);

	/* the SQL objects of an older version do not have it */
	bool		confirm_clock = PG_NARGS() > 1 && !PG_ARGISNULL(1) &&
	PG_GETARG_BOOL(1);
	KmsClock	clock;
	int			i;

	kms_call_require_service();
	PreventCommandDuringRecovery("kms_maintain()");
	PreventCommandIfReadOnly("kms_maintain()");
	InitMaterializedSRF(fcinfo, 0);

	/* without one most tasks do nothing */
	kms_master_await();
	kms_clock_advance(confirm_clock, &clock);
	for (i = 0; i < KMS_TASK_COUNT; i++)
	{
		KmsTaskResult task;
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		kms_maintain_run((KmsTask) i, &clock, confirm_purge, &task);
		values[0] = CStringGetTextDatum(task.task);
		values[1] = Int64GetDatum(task.done);
		values[2] = Int64GetDatum(task.skipped);
		values[3] = BoolGetDatum(task.more);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * A row a master key that the server has or that rows of this database need;
 * one without an id says why there is none.
 */
Datum
kms_api_master_key_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	KmsMasterStatus *status = palloc(sizeof(KmsMasterStatus));
	ListCell   *cell;

	kms_call_require_service();
	InitMaterializedSRF(fcinfo, 0);
	kms_master_status(status);
	foreach(cell, kms_rewrap_uses())
		put_use(result, lfirst(cell), status);
	if (status->state == KMS_MASTER_UNREAD)
		put_master_key(result, NULL, NULL, "unread", 0, 0,
					   status->running_since != 0
					   ? "kms.master_key_command is still running"
					   : "the launcher has not read it yet");
	else if (status->running_since != 0)
		put_master_key(result, NULL, NULL, "running", 0, 0,
					   "kms.master_key_command is running; the keys read before are in force");
	else if (status->state == KMS_MASTER_UNSET)
		put_master_key(result, NULL, NULL, "unset", 0, 0,
					   "neither kms.master_key_file nor kms.master_key_command is set");
	else if (status->reason[0] != '\0')
		put_master_key(result, NULL, NULL, "refused", 0, 0, status->reason);
	return (Datum) 0;
}

static void
put_use(ReturnSetInfo *result, const KmsMasterKeyUse *use,
		const KmsMasterStatus *status)
{
	int64		keys = use->used ? kms_wrapped_count(use->id) : 0;
	int			place = use->place;
	const char *word = "missing";
	const char *detail = "rows are wrapped under it, and the server does not have it";

	if (place >= 0)
	{
		word = place == 0 ? "current"
			: kms_month_key_stays(status, place) ? "epoch" : "available";
		detail = NULL;
		if (use->used && !kms_month_key_stays(status, place))
			detail = "kms_rewrap_keys() moves what is wrapped under it";
		else if (!use->used && kms_month_key_is_over(status, place))
			detail = "its month is over and no row of this database needs it: it can be destroyed";
		else if (!use->used && !kms_month_key_stays(status, place))
			detail = "no row of this database needs it: its line can be removed";
	}
	put_master_key(result, use->id, place >= 0 ? status->label[place] : NULL,
				   word, keys, use->peppers, detail);
}

static void
put_master_key(ReturnSetInfo *result, const unsigned char *id,
			   const char *label, const char *status, int64 keys,
			   int64 peppers, const char *detail)
{
	char		hex[2 * KMS_MASTER_KEY_ID_SIZE + 1];
	Datum		values[6] = {0};
	bool		nulls[6] = {false};

	nulls[0] = id == NULL;
	if (id != NULL)
	{
		kms_master_key_id_text(id, hex);
		values[0] = CStringGetTextDatum(hex);
	}
	nulls[1] = label == NULL || label[0] == '\0';
	if (!nulls[1])
		values[1] = CStringGetTextDatum(label);
	values[2] = CStringGetTextDatum(status);
	values[3] = Int64GetDatum(keys);
	values[4] = Int64GetDatum(peppers);
	nulls[5] = detail == NULL;
	if (detail != NULL)
		values[5] = CStringGetTextDatum(detail);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
kms_api_rewrap_keys(PG_FUNCTION_ARGS)
{
	int			batch = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0);
	KmsFault	fault = {0};
	KmsClock	clock;
	KmsRewrap	rewrapped;

	kms_call_require_service();
	PreventCommandDuringRecovery("kms_rewrap_keys()");
	PreventCommandIfReadOnly("kms_rewrap_keys()");
	if (batch < 1 || batch > KMS_REWRAP_MAX)
	{
		kms_fault_argument(&fault,
						   psprintf("batch_size must be between 1 and %d",
									KMS_REWRAP_MAX), NULL, NULL);
		kms_fault_raise(&fault);
	}
	kms_master_await();
	if (kms_master_generation() == 0)
	{
		kms_fault(&fault, KMS_NO_MASTER_KEY);
		kms_fault_raise(&fault);
	}
	if (kms_wrapped_are_replicated())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("keys that come by a subscription are wrapped by their publisher"),
				 errhint("Call kms_rewrap_keys() there; what it does arrives here."),
				 KMS_HIDE_STATEMENT));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("kms_rewrap_keys() must see what others commit in the meantime"),
				 errhint("Call it in a READ COMMITTED transaction."),
				 KMS_HIDE_STATEMENT));

	/* it is sealed, and is to be under the current master key, too */
	kms_clock_advance(false, &clock);
	if (kms_rewrap(batch, true, &rewrapped, &fault) != KMS_OK)
		kms_fault_raise(&fault);
	if (rewrapped.refused > 0)
		ereport(WARNING,
				(errmsg("keys or peppers that do not authenticate were left under their master key: " INT64_FORMAT,
						rewrapped.refused),
				 errhint("Keep that master key. kms_check() names some of the keys; restore their rows from a backup."),
				 KMS_HIDE_STATEMENT));
	PG_RETURN_INT64(rewrapped.done);
}

Datum
kms_api_check(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Findings	findings = {.context = CurrentMemoryContext};
	int			i;

	kms_call_require_library();
	InitMaterializedSRF(fcinfo, 0);
	findings.desc = result->setDesc;
	kms_check_run(report, &findings);
	for (i = 0; i < (int) lengthof(severities); i++)
	{
		ListCell   *cell;

		foreach(cell, findings.rows[i])
			tuplestore_puttuple(result->setResult, lfirst(cell));
	}
	return (Datum) 0;
}

/* A KmsReport: "arg" is the Findings of the call. */
static void
report(void *arg, const char *severity, const char *finding, const char *hint)
{
	Findings   *findings = arg;
	MemoryContext old = MemoryContextSwitchTo(findings->context);
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	int			i = 0;

	while (i < (int) lengthof(severities) - 1 &&
		   strcmp(severity, severities[i]) != 0)
		i++;
	values[0] = CStringGetTextDatum(severity);
	values[1] = CStringGetTextDatum(finding);
	values[2] = CStringGetTextDatum(hint);
	findings->rows[i] = lappend(findings->rows[i],
								heap_form_tuple(findings->desc, values, nulls));
	MemoryContextSwitchTo(old);
}

/*
 * False, with a warning that names it, if a known answer comes out wrong or a
 * real key does not open what it encrypted.
 */
Datum
kms_api_self_test(PG_FUNCTION_ARGS)
{
	const char *what = NULL;
	bool		passed;

	kms_call_require_service();
	passed = kms_self_test_run(&what) == KMS_OK && kms_check_one_key(&what);
	if (!passed)
		ereport(WARNING,
				(errmsg("self-test failed: %s", what),
				 errhint("Do not trust results of kms on this server; look at its OpenSSL library and at kms_check()."),
				 KMS_HIDE_STATEMENT));
	PG_RETURN_BOOL(passed);
}

Datum
kms_api_read_status(PG_FUNCTION_ARGS)
{
	static const char *const master_words[] = {"unread", "ready", "unset", "refused"};
	static const char *const memory_words[] = {"not locked", "locked", "memfd_secret"};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	KmsDatabase *database;
	KmsMasterStatus *master = palloc(sizeof(KmsMasterStatus));
	KmsRingCounters ring;
	KmsWorkerState workers[KMS_WORKERS];
	int64		epoch;
	int			launcher;

	kms_call_require_service();
	InitMaterializedSRF(fcinfo, 0);
	database = kms_shared_database();
	memset(workers, 0, sizeof(workers));
	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	launcher = kms_shared->launcher_pid;
	if (database != NULL)
		memcpy(workers, database->worker, sizeof(workers));
	LWLockRelease(&kms_shared->lock);
	kms_master_status(master);

	put_status(result, "version", KMS_VERSION);
	put_status(result, "openssl", kms_openssl_version());
	put_status(result, "launcher", launcher != 0 ? "running" : "not running");
	put_worker(result, "writer", &workers[KMS_WRITER]);
	put_worker(result, "maintenance", &workers[KMS_MAINTENANCE]);
	put_worker(result, "key generation", &workers[KMS_KEYGEN]);
	put_status(result, "master key", master_words[master->state]);
	put_count(result, "master keys", master->count);
	put_status(result, "master key memory", memory_words[kms_master_memory()]);
	if (kms_session_ring_counters(&ring, &epoch))
	{
		put_status(result, "ring epoch", psprintf(INT64_FORMAT, epoch));
		put_count(result, "ring size", ring.slots);
		put_count(result, "ring used", ring.head - ring.tail);
		put_count(result, "events recorded", ring.head);
		put_count(result, "events dropped", ring.dropped);
		put_count(result, "events counted only", ring.counted);
		put_count(result, "events damaged", ring.damaged);
	}
	put_count(result, "events without a ring",
			  pg_atomic_read_u64(&kms_shared->unrecorded));
	put_count(result, "calls refused by the audit",
			  pg_atomic_read_u64(&kms_shared->refused));
	put_count(result, "keys in the pool", kms_pool_table_count());
	put_count(result, "keys wanted in the pool", kms_key_pool_size);
	put_count(result, "changes in the outbox", kms_health_outbox());
	put_count(result, "events set aside", kms_health_quarantined());
	put_count(result, "standby successes",
			  pg_atomic_read_u64(&kms_shared->standby_successes));
	put_count(result, "standby failures",
			  pg_atomic_read_u64(&kms_shared->standby_failures));
	put_count(result, "events left in rings", kms_check_unwritten_count());
	put_count(result, "keys open in this session", kms_opened_count());
	return (Datum) 0;
}

static void
put_status(ReturnSetInfo *result, const char *item, const char *value)
{
	Datum		values[2];
	bool		nulls[2] = {false, false};

	values[0] = CStringGetTextDatum(item);
	values[1] = CStringGetTextDatum(value);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_count(ReturnSetInfo *result, const char *item, uint64 value)
{
	put_status(result, item, psprintf(UINT64_FORMAT, value));
}

static void
put_worker(ReturnSetInfo *result, const char *name, KmsWorkerState *worker)
{
	const char *state = worker->pid != 0 ? "running"
	: worker->failed_at != 0 ? "failing" : "idle";

	put_status(result, name, state);
	put_status(result, psprintf("%s last round", name),
			   worker->heartbeat == 0 ? "never"
			   : timestamptz_to_str(worker->heartbeat));
	put_status(result, psprintf("%s last error", name),
			   worker->last_error[0] == '\0' ? "none" : worker->last_error);
}
