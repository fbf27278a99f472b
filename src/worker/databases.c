/*
 * The databases of the server: probe each of them once, and clear up after
 * those that are gone.
 *
 * A maintenance worker probes a database, and leaves if it finds no extension.
 * It needs a slot of kms_shared, so only KMS_PROBES_MAX databases are probed
 * at the same time.  A database that is locked as a whole is probed later,
 * because the worker would wait for the lock while it holds the slot; see also
 * drop_guard.c.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_database.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "worker/databases.h"

#include "pg/lock.h"
#include "shmem/ring_file.h"
#include "shmem/shared.h"
#include "worker/children.h"
#include "worker/next_round.h"
#include "worker/worker.h"

#define SWEEP_INTERVAL_MS	300000
#define LIST_INTERVAL_MS	30000	/* between two looks for new databases */
#define LOCKED_PAUSE_MS		100 /* pause while a database is copied, renamed,
								 * ... */

typedef struct Listed
{
	Oid			oid;
	bool		served;			/* its events have a ring file */
	bool		probed;			/* a worker was asked to look at it */
} Listed;

static Listed *databases = NULL;
static int	database_count = 0;
static TimestampTz listed_at = 0;	/* 0 if not listed since recovery */
static TimestampTz swept_at = 0;

static bool is_list_due(TimestampTz now);
static bool is_usable(Form_pg_database database);
static int	compare_listed(const void *a, const void *b);
static bool was_probed(Oid database_oid);
static void release_probe_slot(int slot);
static bool is_sweep_due(TimestampTz now);
static bool database_exists(Oid database_oid, void *arg);

void
kms_databases_list(TimestampTz now)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	Listed	   *listed;
	int			size = 64;
	int			count = 0;
	int			i;

	if (!is_list_due(now))
		return;
	listed = MemoryContextAlloc(TopMemoryContext, size * sizeof(Listed));

	kms_worker_begin("listing databases");
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		bool		served = kms_ring_file_exists(form->oid);

		/*
		 * Skip a database that is closed to connections, unless it was served
		 * before.
		 */
		if (!is_usable(form) || (!form->datallowconn && !served))
			continue;
		if (count == size)
		{
			size *= 2;
			listed = repalloc(listed, size * sizeof(Listed));
		}
		listed[count].oid = form->oid;
		listed[count++].served = served;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	kms_worker_commit();

	qsort(listed, count, sizeof(Listed), compare_listed);
	for (i = 0; i < count; i++)
		listed[i].probed = was_probed(listed[i].oid);
	if (databases != NULL)
		pfree(databases);
	databases = listed;
	database_count = count;
	listed_at = GetCurrentTimestamp();
}

void
kms_databases_probe(TimestampTz now)
{
	int			i;

	for (i = 0; i < database_count; i++)
	{
		Listed	   *listed = &databases[i];
		KmsDatabase *database;
		bool		locked;

		if (listed->probed)
			continue;
		kms_worker_begin("looking at a database");
		locked = kms_lock_bars_connections(listed->oid);
		kms_worker_commit();
		if (locked)
		{
			kms_next_round_after(now, LOCKED_PAUSE_MS);
			continue;
		}
		database = kms_shared_probe(listed->oid);
		if (database == NULL)
			return;				/* probe other databases first */
		listed->probed = true;
		kms_shared_request(database, KMS_MAINTENANCE);
	}
}

bool
kms_databases_is_open(int slot, int number, TimestampTz now)
{
	KmsDatabase *database = &kms_shared->databases[slot];
	HeapTuple	tuple;
	bool		usable = false;
	bool		locked = false;

	kms_worker_begin("looking at a database");
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database->oid));
	if (HeapTupleIsValid(tuple))
	{
		usable = is_usable((Form_pg_database) GETSTRUCT(tuple));
		ReleaseSysCache(tuple);
	}
	if (usable)
		locked = kms_lock_bars_connections(database->oid);
	kms_worker_commit();

	if (locked)
	{
		kms_next_round_after(now, LOCKED_PAUSE_MS);
		release_probe_slot(slot);
	}
	if (!usable)
	{
		pg_atomic_write_u32(&database->worker[number].requested,
							KMS_REQUEST_NONE);
		LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
		database->probed = true;
		database->worker[number].not_before =
			TimestampTzPlusMilliseconds(now, KMS_WORKER_BACKOFF_MS);
		LWLockRelease(&kms_shared->lock);
	}
	return usable && !locked;
}

void
kms_databases_sweep(TimestampTz now)
{
	int			slot;

	if (!is_sweep_due(now))
		return;
	kms_worker_begin("looking for dropped databases");
	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		KmsDatabase *database = &kms_shared->databases[slot];
		Oid			oid = database->oid;
		bool		exists;

		if (!OidIsValid(oid))
			continue;
		exists = database_exists(oid, NULL);
		LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
		if (!kms_shared_pausing(database->closed_until, KMS_DROP_CLOSED_MS))
			database->closed_until = 0;
		if (!exists && !kms_children_any_running(slot))
			database->oid = InvalidOid;
		LWLockRelease(&kms_shared->lock);
	}
	kms_ring_file_sweep(database_exists, NULL);
	kms_worker_commit();
	swept_at = now;
}

void
kms_databases_free_unused(void)
{
	int			slot;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		KmsDatabase *database = &kms_shared->databases[slot];
		bool		used = !database->probed || database->has_extension ||
		kms_children_any_running(slot);
		int			number;

		for (number = 0; number < KMS_KEYGEN; number++)
		{
			if (pg_atomic_read_u32(&database->worker[number].requested) !=
				KMS_REQUEST_NONE)
				used = true;
		}
		if (OidIsValid(database->oid) && !used)
			database->oid = InvalidOid;
	}
	LWLockRelease(&kms_shared->lock);
}

/* Return true at the start, every 30 s, and when a database was created. */
static bool
is_list_due(TimestampTz now)
{
	TimestampTz due = TimestampTzPlusMilliseconds(listed_at,
												  LIST_INTERVAL_MS);

	if (pg_atomic_exchange_u32(&kms_shared->databases_made, 0) != 0 ||
		listed_at == 0 || listed_at > now)
		return true;
	kms_next_round_by(due);
	return due <= now;
}

static bool
is_usable(Form_pg_database database)
{
	/* A limit of -2 marks a database whose DROP was interrupted. */
	return database->datconnlimit != -2 &&
		strcmp(NameStr(database->datname), "template0") != 0;
}

/*
 * Sort databases that were served before first, and older ones before newer
 * ones.
 */
static int
compare_listed(const void *a, const void *b)
{
	const Listed *left = a;
	const Listed *right = b;

	if (left->served != right->served)
		return left->served ? -1 : 1;
	return left->oid < right->oid ? -1 : left->oid > right->oid;
}

/*
 * Return true if a probe of the database was requested.  A database that then
 * found no place (kms_shared->beyond) is probed again.
 */
static bool
was_probed(Oid database_oid)
{
	int			i;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	for (i = 0; i < KMS_BEYOND_MAX && kms_shared->beyond[i] != database_oid; i++)
		;
	LWLockRelease(&kms_shared->lock);
	if (i < KMS_BEYOND_MAX)
		return false;
	for (i = 0; i < database_count; i++)
	{
		if (databases[i].oid == database_oid)
			return databases[i].probed;
	}
	return false;
}

/* Free the slot of a database that was only to be looked at. */
static void
release_probe_slot(int slot)
{
	KmsDatabase *database = &kms_shared->databases[slot];
	Oid			database_oid = InvalidOid;
	int			i;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	if (database->probing && !kms_children_any_running(slot))
	{
		database_oid = database->oid;
		database->oid = InvalidOid;
	}
	LWLockRelease(&kms_shared->lock);
	for (i = 0; i < database_count; i++)
	{
		if (databases[i].oid == database_oid)
			databases[i].probed = false;
	}
}

/*
 * Return true at the start, every five minutes, and when a DROP DATABASE
 * should have ended.
 */
static bool
is_sweep_due(TimestampTz now)
{
	TimestampTz due = swept_at == 0 ? 0 :
	TimestampTzPlusMilliseconds(swept_at, SWEEP_INTERVAL_MS);
	int			slot;

	if (swept_at > now)
		due = 0;
	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		KmsDatabase *database = &kms_shared->databases[slot];

		if (!OidIsValid(database->oid) || database->closed_until == 0)
			continue;
		if (kms_shared_pausing(database->closed_until, KMS_DROP_CLOSED_MS))
			due = Min(due, database->closed_until);
		else
			due = 0;
	}
	LWLockRelease(&kms_shared->lock);
	if (due > now)
		kms_next_round_by(due);
	return due <= now;
}

/*
 * Return true if the database exists.  A database whose DROP was interrupted
 * counts as gone.  Call it in a transaction.
 */
static bool
database_exists(Oid database_oid, void *arg)
{
	HeapTuple	tuple;
	bool		exists = false;

	AcceptInvalidationMessages();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database_oid));
	if (HeapTupleIsValid(tuple))
	{
		exists = is_usable((Form_pg_database) GETSTRUCT(tuple));
		ReleaseSysCache(tuple);
	}
	return exists;
}
