/*
 * Makes the workers leave a database that is dropped, copied, renamed or
 * moved.
 *
 * PostgreSQL waits five seconds for other processes to leave such a database,
 * and then the statement fails.  So the session that runs the statement closes
 * the database to workers (closed_until), wakes those that run, waits until
 * they have gone, and opens the database when the statement ends.  DROP
 * DATABASE leaves it closed if it succeeds.
 *
 * DROP is noticed by object_access_hook, which is called after PostgreSQL's
 * check of rights.  There is no such call before PostgreSQL waits in the other
 * statements, so those are noticed by ProcessUtility_hook, which checks the
 * rights itself: a role that may not run the statement must not be able to
 * send the workers away.  A role that only may copy the database, because it
 * is marked as a template, closes it only if nobody is connected to it.
 *
 * The owner of a database may act on it as a whole, but does not stop its
 * trail by statements that fail: the next one waits until the database has
 * been open for REOPENED_MS.  That wait comes before PostgreSQL locks the
 * database.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/procarray.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "worker/drop_guard.h"

#include "pg/compat.h"
#include "shmem/state.h"

#define LEAVE_MS		1000	/* for workers to leave */
#define STEP_MS			10
#define REOPENED_MS		2000	/* before it is closed again */

static object_access_hook_type previous_object_hook = NULL;
static ProcessUtility_hook_type previous_utility_hook = NULL;

/* what the current transaction drops */
static Oid	dropped_database = InvalidOid;

/* the current transaction makes a database */
static bool made_database = false;

static void on_object_access(ObjectAccessType access, Oid class_oid,
							 Oid object_oid, int sub_id, void *arg);
static void on_utility(PlannedStmt *pstmt, const char *query,
					   bool read_only_tree, ProcessUtilityContext context,
					   ParamListInfo params, QueryEnvironment *environment,
					   DestReceiver *dest, QueryCompletion *completion);
static void on_transaction(XactEvent event, void *arg);
static bool concerns(Node *statement);
static Oid	find_database(Node *statement, bool *may_close);
static const char *find_option(List *options, const char *name);
static bool may_create_databases(void);
static bool is_free_to_copy(Oid database_oid);
static void await_reopened(Oid database_oid);
static void close_database(Oid database_oid);
static void open_database(Oid database_oid, bool failed);
static void set_closed(KmsDatabase *database, TimestampTz until);
static void await_workers(Oid database_oid);
static void nap(void);

void
kms_drop_guard_install(void)
{
	previous_object_hook = object_access_hook;
	object_access_hook = on_object_access;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	RegisterXactCallback(on_transaction, NULL);
}

static void
on_object_access(ObjectAccessType access, Oid class_oid, Oid object_oid,
				 int sub_id, void *arg)
{
	if (previous_object_hook)
		previous_object_hook(access, class_oid, object_oid, sub_id, arg);
	if (access == OAT_DROP && class_oid == DatabaseRelationId &&
		kms_state != NULL)
	{
		dropped_database = object_oid;
		close_database(object_oid);
	}
}

static void
on_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
		   ProcessUtilityContext context, ParamListInfo params,
		   QueryEnvironment *environment, DestReceiver *dest,
		   QueryCompletion *completion)
{
	ProcessUtility_hook_type next =
	previous_utility_hook ? previous_utility_hook : standard_ProcessUtility;
	bool		guarded = kms_state != NULL && IsUnderPostmaster &&
	concerns(pstmt->utilityStmt) && !RecoveryInProgress();
	volatile Oid closed = InvalidOid;
	volatile bool failed = true;

	if (!guarded)
	{
		next(pstmt, query, read_only_tree, context, params, environment, dest,
			 completion);
		return;
	}

	PG_TRY();
	{
		bool		may_close;
		Oid			database_oid = find_database(pstmt->utilityStmt, &may_close);

		if (OidIsValid(database_oid))
			await_reopened(database_oid);
		if (OidIsValid(database_oid) && may_close)
		{
			closed = database_oid;
			close_database(database_oid);
		}
		next(pstmt, query, read_only_tree, context, params, environment, dest,
			 completion);
		if (IsA(pstmt->utilityStmt, CreatedbStmt))
			made_database = true;
		failed = false;
	}
	PG_FINALLY();
	{
		if (OidIsValid(closed))
			open_database(closed, failed);
	}
	PG_END_TRY();
}

static void
on_transaction(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_ABORT && event != XACT_EVENT_COMMIT)
		return;
	if (OidIsValid(dropped_database) && event == XACT_EVENT_ABORT)
		open_database(dropped_database, true);
	dropped_database = InvalidOid;
	if (made_database && event == XACT_EVENT_COMMIT && kms_state != NULL)
	{
		pg_atomic_write_u32(&kms_state->databases_made, 1);
		kms_state_wake_launcher();
	}
	made_database = false;
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

/*
 * The database that it acts on, if the current user may do that; else
 * InvalidOid.  DROP DATABASE is closed later, when it is locked.
 */
static Oid
find_database(Node *statement, bool *may_close)
{
	const char *name;
	bool		creates = true;
	Oid			database_oid;

	*may_close = true;
	switch (nodeTag(statement))
	{
		case T_CreatedbStmt:
			name = find_option(((CreatedbStmt *) statement)->options,
							   "template");
			if (name == NULL)
				name = "template1";
			break;
		case T_DropdbStmt:
			name = ((DropdbStmt *) statement)->dbname;
			creates = false;
			*may_close = false;
			break;
		case T_RenameStmt:
			name = ((RenameStmt *) statement)->subname;
			break;
		default:
			name = ((AlterDatabaseStmt *) statement)->dbname;
			creates = false;
			break;
	}
	database_oid = get_database_oid(name, true);
	if (!OidIsValid(database_oid) || (creates && !may_create_databases()))
		return InvalidOid;
	if (pg_database_ownercheck(database_oid, GetUserId()) ||
		(IsA(statement, CreatedbStmt) && is_free_to_copy(database_oid)))
		return database_oid;
	return InvalidOid;
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
is_free_to_copy(Oid database_oid)
{
	HeapTuple	tuple;
	bool		is_template = false;

	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database_oid));
	if (HeapTupleIsValid(tuple))
	{
		is_template = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return is_template &&
		CountDBConnections(database_oid) == (database_oid == MyDatabaseId);
}

static void
await_reopened(Oid database_oid)
{
	KmsDatabase *database = kms_state_find(database_oid);

	while (database != NULL &&
		   kms_state_pausing(TimestampTzPlusMilliseconds(*(volatile TimestampTz *) &database->reopened_at,
														 REOPENED_MS),
							 REOPENED_MS))
		nap();
}

static void
close_database(Oid database_oid)
{
	KmsDatabase *database = kms_state_find(database_oid);
	int			number;

	if (database == NULL)
		return;
	set_closed(database, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													 KMS_DROP_CLOSED_MS));
	for (number = 0; number < KMS_WORKERS; number++)
		(void) kms_state_wake(database, number);
	kms_state_wake_launcher();
	await_workers(database_oid);
}

/* Raises nothing: for callbacks. */
static void
open_database(Oid database_oid, bool failed)
{
	KmsDatabase *database = kms_state_find(database_oid);

	if (database == NULL)
		return;
	set_closed(database, 0);
	if (failed)
		database->reopened_at = GetCurrentTimestamp();
	kms_state_wake_launcher();
}

static void
set_closed(KmsDatabase *database, TimestampTz until)
{
	LWLockAcquire(&kms_state->lock, LW_EXCLUSIVE);
	database->closed_until = until;
	LWLockRelease(&kms_state->lock);
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
		   kms_state_pausing(until, LEAVE_MS))
		nap();
}

static void
nap(void)
{
	CHECK_FOR_INTERRUPTS();
	(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, STEP_MS,
					 PG_WAIT_EXTENSION);
}
