/*
 * Makes the workers leave a database that is being dropped, copied, renamed or
 * moved.
 *
 * PostgreSQL waits five seconds for other processes to leave such a database,
 * and then the statement fails.  So the session that runs the statement closes
 * the database to workers (closed_until), wakes the running ones, waits until
 * they have left, and opens the database when the statement ends.
 * docs/design/workers.md describes the steps, and why the owner of a database
 * cannot stop its trail by them.
 *
 * A session claims the database alone (closer), or together with others that
 * copy it (copiers).  All of these fields are changed under kms_shared->lock.
 * The claim is taken after the database has been locked: a session that has a
 * claim does not wait for the lock of the database, and a session that waits
 * for a claim does not hold that lock.  The claim is released at the end of
 * the statement (for DROP, of the transaction) and at the end of the session.
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
#include "pg/wait_event.h"
#include "shmem/shared.h"

#define LEAVE_MS		1000	/* longest wait for workers to leave */
#define CLIENTS_MS		5000	/* for clients to leave, as in PostgreSQL */
#define STEP_MS			10
#define REOPENED_MS		2000	/* the database stays open at least as long */

/* A statement that acts on a database as a whole. */
typedef struct Act
{
	Oid			database_oid;	/* InvalidOid if it does not concern us */
	const char *name;
	LOCKMODE	lock;			/* lock that PostgreSQL takes */
	bool		copies;
	bool		drops;
	bool		force;			/* it ends other sessions */
} Act;

static ProcessUtility_hook_type previous_utility_hook = NULL;

/* The database that this session has claimed, and for what. */
static Oid	claimed_oid = InvalidOid;
static bool copying = false;
static bool dropping = false;

/* The database that this subtransaction has locked, maybe until its end. */
static Oid	locked_oid = InvalidOid;
static SubTransactionId locked_subid = InvalidSubTransactionId;

/* The current transaction has created a database. */
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

/* FATAL skips PG_FINALLY, so release the claim here as well. */
static void
on_exit_of_session(int code, Datum arg)
{
	give_back(false, true);
}

/* Return true if the statement acts on a database as a whole. */
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
				return;			/* PostgreSQL refuses it without locking */
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

/*
 * Check the rights with PostgreSQL's messages, but before the database is
 * locked.
 */
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

/*
 * Raise PostgreSQL's error for the current database before the lock is taken;
 * PostgreSQL itself raises it while it holds the lock.
 */
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

/*
 * Return the value of an option, or NULL if it is not given or has no value.
 */
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

/* Raise PostgreSQL's error for a database that is in use. */
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
 * Count the processes that PostgreSQL waits for, including background workers
 * of other extensions, but not this session and our workers.
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

/* Count autovacuum workers, which PostgreSQL ends itself. */
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
 * Return true if a session that has waited since "since" can claim the
 * database.  Without kms_shared->lock, the result may be outdated.
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

/* Claim and close the database.  Return false if it cannot be claimed now. */
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

/*
 * Release the claim, and open the database unless it is gone.  Raises no
 * error, because callbacks call it.
 */
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

/*
 * ALTER DATABASE RENAME keeps its lock until the transaction ends, so count
 * the database as reopened only now.
 */
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
 * has not registered there yet.
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
					 kms_wait_event(KMS_WAIT_WORKERS));
}
