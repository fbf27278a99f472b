/*
 * Makes the workers leave a database that is dropped, copied, renamed or
 * moved.
 *
 * PostgreSQL locks such a database, waits five seconds for other processes to
 * leave it, and then the statement fails.  So the session that runs the
 * statement closes the database to workers (closed_until), wakes those that
 * run, waits until they have gone, and opens the database when the statement
 * ends.  DROP DATABASE leaves it closed if it succeeds.
 *
 * The owner of a database may act on it as a whole, but must not stop its
 * trail by that.  So before the database is closed, or PostgreSQL locks it:
 *
 * - The rights are checked: PostgreSQL locks first, and refuses then.
 * - Clients are waited for, as long as PostgreSQL would do that.  The error
 *   for those that stay is raised here.  So the database is never locked for
 *   seconds, nor its writer sent away, while somebody can make calls in it.
 *   DROP ... WITH (FORCE) does not wait for them.
 * - The session claims the database: alone (closer), or to copy it together
 *   with others (copiers).  The next claim needs the database to have been
 *   open for REOPENED_MS, so that a writer can come.  Statements that succeed
 *   may follow each other or copy at once for as long, all together, so that
 *   a template can be copied many times.  A copy may wait for a name that
 *   another transaction has taken, so others join it after CLIENTS_MS.
 *
 * The claim is taken when the database has been locked, as PostgreSQL will do:
 * a session that has a claim does not wait for the lock of the database, and
 * one that waits for a claim does not hold it.  The claim is given back at the
 * end of the statement (for DROP, of the transaction), and if the session ends.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "worker/drop_guard.h"

#include "pg/compat.h"
#include "shmem/shared.h"

#define LEAVE_MS		1000	/* for workers to leave */
#define CLIENTS_MS		5000	/* for clients to leave: PostgreSQL's time */
#define STEP_MS			10
#define REOPENED_MS		2000	/* before it is closed again */

/* What a statement does to a database as a whole. */
typedef struct Act
{
	Oid			database_oid;	/* InvalidOid: nothing that concerns us */
	const char *name;
	LOCKMODE	lock;			/* that PostgreSQL takes */
	bool		copies;
	bool		drops;
	bool		force;			/* it ends the sessions of others */
} Act;

static ProcessUtility_hook_type previous_utility_hook = NULL;

/* the database that this session has claimed, and what for */
static Oid	claimed_oid = InvalidOid;
static bool copying = false;
static bool dropping = false;

/* what this subtransaction has locked, perhaps to its end */
static Oid	locked_oid = InvalidOid;
static SubTransactionId locked_subid = InvalidSubTransactionId;

/* the current transaction makes a database */
static bool made_database = false;

static void on_utility(PlannedStmt *pstmt, const char *query,
					   bool read_only_tree, ProcessUtilityContext context,
					   ParamListInfo params, QueryEnvironment *environment,
					   DestReceiver *dest, QueryCompletion *completion);
static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId mine,
							  SubTransactionId parent, void *arg);
static void on_exit_of_session(int code, Datum arg);
static bool concerns(Node *statement);
static void look_at(Node *statement, Act *act);
static void require_rights(const Act *act, bool renames);
pg_noreturn static void refuse_current(const Act *act, bool renames);
static const char *find_option(List *options, const char *name);
static bool may_create_databases(void);
static bool is_template(Oid database_oid);
static void claim(const Act *act);
pg_noreturn static void raise_in_use(const Act *act, int clients);
static int	count_clients(Oid database_oid);
static int	count_autovacuum(Oid database_oid);
static bool is_claimable(const KmsDatabase *database, const Act *act,
						 TimestampTz since);
static bool is_within(TimestampTz time, int ms);
static bool take(const Act *act, TimestampTz since);
static void give_back(bool gone, bool failed);
static void note_unlocked(void);
static void send_away(Oid database_oid);
static void await_workers(Oid database_oid);
static void nap(void);

void
kms_drop_guard_install(void)
{
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

static void
on_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	ProcessUtility_hook_type next =
	previous_utility_hook ? previous_utility_hook : standard_ProcessUtility;
	bool		guarded = kms_shared != NULL && IsUnderPostmaster &&
	concerns(pstmt->utilityStmt) && !RecoveryInProgress();
	volatile bool failed = true;

	if (!guarded)
	{
		next(pstmt, query, read_only_tree, context, params, environment, dest,
			 completion);
		return;
	}

	PG_TRY();
	{
		Act			act;

		look_at(pstmt->utilityStmt, &act);
		if (OidIsValid(act.database_oid))
			claim(&act);
		next(pstmt, query, read_only_tree, context, params, environment, dest,
			 completion);
		if (IsA(pstmt->utilityStmt, CreatedbStmt))
			made_database = true;
		failed = false;
	}
	PG_FINALLY();
	{
		if (failed || !dropping)
			give_back(false, failed);
	}
	PG_END_TRY();
}

static void
on_transaction(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_ABORT && event != XACT_EVENT_COMMIT)
		return;
	note_unlocked();
	if (dropping)
		give_back(event == XACT_EVENT_COMMIT, event == XACT_EVENT_ABORT);
	if (made_database && event == XACT_EVENT_COMMIT && kms_shared != NULL)
	{
		pg_atomic_write_u32(&kms_shared->databases_made, 1);
		kms_shared_wake_launcher();
	}
	made_database = false;
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mine,
				  SubTransactionId parent, void *arg)
{
	if (mine != locked_subid)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		note_unlocked();
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		locked_subid = parent;
}

/* PG_FINALLY is skipped by FATAL. */
static void
on_exit_of_session(int code, Datum arg)
{
	give_back(false, true);
}

/* Whether the statement acts on a database as a whole. */
static bool
concerns(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreatedbStmt:
		case T_DropdbStmt:
			return true;
		case T_RenameStmt:
			return ((RenameStmt *) statement)->renameType == OBJECT_DATABASE;
		case T_AlterDatabaseStmt:
			return find_option(((AlterDatabaseStmt *) statement)->options,
							   "tablespace") != NULL;
		default:
			return false;
	}
}

static void
look_at(Node *statement, Act *act)
{
	memset(act, 0, sizeof(*act));
	act->lock = AccessExclusiveLock;
	switch (nodeTag(statement))
	{
		case T_CreatedbStmt:
			act->name = find_option(((CreatedbStmt *) statement)->options,
									"template");
			if (act->name == NULL)
				act->name = "template1";
			act->lock = ShareLock;
			act->copies = true;
			if (!may_create_databases())
				return;			/* PostgreSQL refuses it without a lock */
			break;
		case T_DropdbStmt:
			act->name = ((DropdbStmt *) statement)->dbname;
			act->drops = true;
			act->force = ((DropdbStmt *) statement)->options != NIL;
			break;
		case T_RenameStmt:
			act->name = ((RenameStmt *) statement)->subname;
			break;
		default:
			act->name = ((AlterDatabaseStmt *) statement)->dbname;
			break;
	}
	act->database_oid = get_database_oid(act->name, true);
	if (OidIsValid(act->database_oid) &&
		kms_shared_find(act->database_oid) == NULL)
		act->database_oid = InvalidOid;
	if (!OidIsValid(act->database_oid))
		return;
	require_rights(act, IsA(statement, RenameStmt));
	if (!act->copies && act->database_oid == MyDatabaseId)
		refuse_current(act, IsA(statement, RenameStmt));
}

/* With PostgreSQL's messages, but before the database is locked. */
static void
require_rights(const Act *act, bool renames)
{
	if (!pg_database_ownercheck(act->database_oid, GetUserId()))
	{
		if (!act->copies)
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_DATABASE, act->name);
		else if (!is_template(act->database_oid))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to copy database \"%s\"",
							act->name)));
	}
	if (renames && !may_create_databases())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to rename database")));
}

/* Likewise; PostgreSQL raises these when it has the lock. */
static void
refuse_current(const Act *act, bool renames)
{
	if (renames)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("current database cannot be renamed")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 act->drops ?
			 errmsg("cannot drop the currently open database") :
			 errmsg("cannot change the tablespace of the currently open database")));
}

/* NULL if it is not there or has no value. */
static const char *
find_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

static bool
may_create_databases(void)
{
	HeapTuple	tuple;
	bool		may = superuser();

	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (HeapTupleIsValid(tuple))
	{
		may = may || ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	return may;
}

static bool
is_template(Oid database_oid)
{
	HeapTuple	tuple;
	bool		result = false;

	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database_oid));
	if (HeapTupleIsValid(tuple))
	{
		result = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return result;
}

/* Wait for clients and other claims, then lock and claim the database. */
static void
claim(const Act *act)
{
	static bool registered = false;
	TimestampTz since = GetCurrentTimestamp();
	TimestampTz until = 0;

	if (!registered)
	{
		before_shmem_exit(on_exit_of_session, (Datum) 0);
		registered = true;
	}
	for (;; nap())
	{
		KmsDatabase *database = kms_shared_find(act->database_oid);
		int			clients;

		if (database == NULL)
			return;
		if (!is_claimable(database, act, since))
			continue;
		clients = act->force ? 0 : count_clients(act->database_oid);
		if (clients > 0)
		{
			if (until == 0)
				until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													CLIENTS_MS);
			if (!kms_shared_pausing(until, CLIENTS_MS))
				raise_in_use(act, clients);
			continue;
		}
		LockSharedObject(DatabaseRelationId, act->database_oid, 0, act->lock);
		if ((act->force || count_clients(act->database_oid) == 0) &&
			take(act, since))
			break;
		UnlockSharedObject(DatabaseRelationId, act->database_oid, 0,
						   act->lock);
	}
	send_away(act->database_oid);
}

/* PostgreSQL's error. */
static void
raise_in_use(const Act *act, int clients)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 act->copies ?
			 errmsg("source database \"%s\" is being accessed by other users",
					act->name) :
			 errmsg("database \"%s\" is being accessed by other users",
					act->name),
			 errdetail_plural("There is %d other session using the database.",
							  "There are %d other sessions using the database.",
							  clients, clients)));
}

/*
 * All processes that PostgreSQL waits for, others' background workers, too,
 * but not this session and our workers.
 */
static int
count_clients(Oid database_oid)
{
	int			count = CountDBBackends(database_oid);
	KmsDatabase *database = kms_shared_find(database_oid);
	int			i;

	if (database_oid == MyDatabaseId)
		count--;
	for (i = 0; database != NULL && i < KMS_WORKERS; i++)
	{
		if (*(volatile int *) &database->worker[i].pid != 0)
			count--;
	}
	if (count > 0)
		count -= count_autovacuum(database_oid);
	return Max(count, 0);
}

/* PostgreSQL ends those. */
static int
count_autovacuum(Oid database_oid)
{
	int			count = 0;
	int			i;

	pgstat_clear_backend_activity_snapshot();
	for (i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		LocalPgBackendStatus *local = pgstat_get_local_beentry_by_index(i);

		if (local != NULL &&
			local->backendStatus.st_databaseid == database_oid &&
			local->backendStatus.st_backendType == B_AUTOVAC_WORKER)
			count++;
	}
	pgstat_clear_backend_activity_snapshot();
	return count;
}

/*
 * Whether a session that has waited from "since" on can claim the database.
 * Without state->lock the answer may be old.
 */
static bool
is_claimable(const KmsDatabase *database, const Act *act, TimestampTz since)
{
	const volatile KmsDatabase *now = database;
	bool		in_series = is_within(now->series_at, REOPENED_MS);

	if (now->closer != 0)
		return false;
	if (now->copiers > 0)
		return act->copies && (in_series || !is_within(since, CLIENTS_MS));
	return in_series || !is_within(now->reopened_at, REOPENED_MS);
}

static bool
is_within(TimestampTz time, int ms)
{
	return kms_shared_pausing(TimestampTzPlusMilliseconds(time, ms), ms);
}

/* Close the database; false if it cannot be claimed now. */
static bool
take(const Act *act, TimestampTz since)
{
	KmsDatabase *database = kms_shared_find(act->database_oid);
	TimestampTz now = GetCurrentTimestamp();
	bool		taken;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	taken = database != NULL && database->oid == act->database_oid &&
		is_claimable(database, act, since);
	if (taken)
	{
		if (database->copiers == 0 &&
			!is_within(database->series_at, REOPENED_MS))
			database->series_at = now;
		if (act->copies)
			database->copiers++;
		else
			database->closer = MyProcPid;
		database->closed_until =
			TimestampTzPlusMilliseconds(now, KMS_DROP_CLOSED_MS);
		claimed_oid = locked_oid = act->database_oid;
		locked_subid = GetCurrentSubTransactionId();
		copying = act->copies;
		dropping = act->drops;
	}
	LWLockRelease(&kms_shared->lock);
	return taken;
}

/* Open the database unless it is gone.  Raises nothing: for callbacks. */
static void
give_back(bool gone, bool failed)
{
	KmsDatabase *database;

	if (!OidIsValid(claimed_oid))
		return;
	database = kms_shared_find(claimed_oid);
	if (database != NULL)
	{
		LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
		if (database->oid == claimed_oid)
		{
			if (copying)
				database->copiers = Max(0, database->copiers - 1);
			else if (database->closer == MyProcPid)
				database->closer = 0;
			if (failed)
				database->series_at = 0;
			if (database->copiers == 0 && database->closer == 0)
			{
				database->reopened_at = GetCurrentTimestamp();
				if (!gone)
					database->closed_until = 0;
			}
		}
		LWLockRelease(&kms_shared->lock);
		kms_shared_wake_launcher();
	}
	claimed_oid = InvalidOid;
	copying = dropping = false;
}

/* ALTER DATABASE RENAME keeps its lock, so the database is open from now on. */
static void
note_unlocked(void)
{
	KmsDatabase *database = OidIsValid(locked_oid) ?
	kms_shared_find(locked_oid) : NULL;

	if (database != NULL)
	{
		LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
		if (database->oid == locked_oid && database->closer == 0 &&
			database->copiers == 0)
			database->reopened_at = GetCurrentTimestamp();
		LWLockRelease(&kms_shared->lock);
	}
	locked_oid = InvalidOid;
	locked_subid = InvalidSubTransactionId;
}

static void
send_away(Oid database_oid)
{
	KmsDatabase *database = kms_shared_find(database_oid);
	int			number;

	if (database == NULL)
		return;
	for (number = 0; number < KMS_WORKERS; number++)
		(void) kms_shared_wake(database, number);
	kms_shared_wake_launcher();
	await_workers(database_oid);
}

/*
 * Count processes, not pids in shared memory: a worker that has just started
 * has not entered itself yet.
 */
static void
await_workers(Oid database_oid)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													LEAVE_MS);

	while (CountDBBackends(database_oid) > CountDBConnections(database_oid) &&
		   kms_shared_pausing(until, LEAVE_MS))
		nap();
}

static void
nap(void)
{
	CHECK_FOR_INTERRUPTS();
	(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, STEP_MS,
					 PG_WAIT_EXTENSION);
}
