/*
 * The launcher: one process a server, from consistent state on, connected to
 * shared catalogs only.
 *
 * It reads the master key at start and at each reload (key_source.c); a command
 * that gives it runs beside all that follows.
 *
 * Once recovery has ended it has every database looked at once (a maintenance
 * worker that finds no extension just leaves), and every new one soon after it
 * was made: those that were served before first, and only a few at a time,
 * because a database that is looked at needs a slot of the shared table.  From
 * then on it starts a worker where one is asked for (kms_shared_request) or
 * maintenance is due: of writers and maintenance together never more than
 * kms.max_workers, of those that generate keys never more than
 * kms.keygen_workers, of each from the database after the one served last.
 *
 * A writer is a reserved one (reserved_writer.c) if one waits for work, else a new
 * process.  If more databases want writers than there are places, or slots of
 * max_worker_processes, the writers take turns: state->waiting tells those
 * that run, and each leaves soon.  Neither writers nor maintenance may take
 * all places from the other; where there is only one, they take turns.  What a
 * worker found, and how it failed, is in the shared state; a database whose
 * workers keep failing is left alone for up to half a minute between tries.
 *
 * No worker is started for a database that is locked as a whole, because it
 * would wait for the lock in its place; see also drop_guard.c.
 *
 * Each reload, and each change of the master keys, has the keys of all
 * databases looked at, too: maintenance tells if rows need a master key that
 * is gone, and the pools follow, as they do the size of keys.  Once a day the
 * log says if a month has no master key (kms.master_key_epochs).
 *
 * Slots and ring files of databases that are gone are cleared up now and then.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "worker/launcher.h"

#include "keys/month_key.h"
#include "pg/compat.h"
#include "pg/protect.h"
#include "pg/settings.h"
#include "shmem/events.h"
#include "shmem/master.h"
#include "worker/drop_guard.h"
#include "worker/key_source.h"
#include "worker/reserved_writer.h"
#include "worker/worker.h"
#include "worker/worker_settings.h"

#define RECOVERY_POLL_MS	1000
#define COMMAND_POLL_MS		20	/* while kms.master_key_command runs */
#define NAP_LONGEST_MS		60000
#define NO_SLOT_PAUSE_MS	200 /* no background worker slot is free */
#define NO_SLOT_PATIENCE_MS 500 /* others give theirs back */
#define NO_SLOT_LOG_MS		60000
#define KEYGEN_PATIENCE_MS	60000	/* for a slot, before that is an error */
#define SWEEP_INTERVAL_MS	300000
#define LIST_INTERVAL_MS	30000	/* between two looks for new databases */
#define LOCKED_PAUSE_MS		100 /* a database is being copied, renamed, ... */
#define FAILED_WRITER_PAUSE_MS	200

/* What only the launcher knows of a worker that it has started. */
typedef struct Child
{
	BackgroundWorkerHandle *handle; /* NULL: none */
	TimestampTz started_at;
	TimestampTz no_slot_since;	/* 0: it got one when it last wanted one */
	int			reserved_pid;	/* of a reserved writer that it is; 0: none */
	int			reserved;		/* number of that */
	TimestampTz waiting_since;	/* for its turn; 0: it does not wait */
} Child;

typedef struct Listed
{
	Oid			oid;
	bool		served;			/* its events have a ring file */
	bool		probed;			/* a worker has been asked for to look at it */
} Listed;

typedef struct Launcher
{
	Child		(*children)[KMS_WORKERS];	/* of each slot */
	int			next[KMS_WORKERS];	/* slot to be served first */
	int			last;			/* worker started last; none generates keys */
	bool		key_read;
	uint64		key_generation; /* that the pools were looked at for */
	Listed	   *databases;		/* as of listed_at */
	int			database_count;
	TimestampTz listed_at;		/* 0: not since recovery */
	int			callers_waiting;	/* databases whose callers wait for a
									 * writer */
	TimestampTz swept_at;
	TimestampTz epochs_at;		/* the log was last told of epochs */
	TimestampTz no_slot_until;	/* no worker could be registered */
	TimestampTz no_slot_logged_at;
	TimestampTz wake_at;		/* when this round wants the next; 0: none */
} Launcher;

/* A worker to be started, as seen under the lock. */
typedef struct Candidate
{
	Oid			oid;
	bool		wanted;
	TimestampTz due;
} Candidate;

/* How the workers are called; those that generate keys are all alike. */
static const struct
{
	const char *name;
	const char *function;
}			kinds[] = {
	[KMS_WRITER] = {"kms writer", "kms_writer_main"},
	[KMS_MAINTENANCE] = {"kms maintenance", "kms_maintenance_main"},
	[KMS_KEYGEN] = {"kms key generation", "kms_keygen_main"}
};

static void detach(int code, Datum arg);
static void one_round(void *arg);
static void list_databases(Launcher *launcher);
static bool is_usable(Form_pg_database database);
static int	compare_listed(const void *a, const void *b);
static bool was_probed(Launcher *launcher, Oid database_oid);
static bool list_due(Launcher *launcher, TimestampTz now);
static void probe_databases(Launcher *launcher, TimestampTz now);
static void request_keys(void);
static void watch_epochs(Launcher *launcher, TimestampTz now);
static void reap(Launcher *launcher, int slot, int number, TimestampTz now);
static bool is_running(Launcher *launcher, int slot, int number);
static bool any_running(Launcher *launcher, int slot);
static int	count_running(Launcher *launcher, int first, int last);
static void start_workers(Launcher *launcher, TimestampTz now);
static int	count_in_places(Launcher *launcher);
static void wake_writers(void);
static void start_keygen(Launcher *launcher, TimestampTz now);
static bool is_due(Launcher *launcher, int number, TimestampTz now);
static int	start_number(Launcher *launcher, int number, int most,
						 TimestampTz now);
static bool has_callers(int slot);
static bool has_slot(Launcher *launcher);
static bool is_open(Launcher *launcher, int slot, int number, TimestampTz now);
static bool is_locked(Oid database_oid);
static void leave_for_later(Launcher *launcher, int slot);
static bool assign(Launcher *launcher, int slot, const Candidate *candidate,
				   TimestampTz now);
static void note_start(Child *child, KmsWorkerState *state, TimestampTz now);
static void end_turn_wait(Launcher *launcher, int slot, int number,
						  TimestampTz now);
static void look_at(Launcher *launcher, int slot, int number,
					TimestampTz now, Candidate *candidate);
static TimestampTz maintenance_due(const KmsDatabase *database,
								   TimestampTz now);
static bool start(Launcher *launcher, int slot, int number,
				  const Candidate *candidate, TimestampTz now);
static bool gets_turn(void);
static void send_keygen_away(void);
static void sweep(Launcher *launcher, TimestampTz now);
static bool sweep_due(Launcher *launcher, TimestampTz now);
static bool database_exists(Oid database_oid, void *arg);
static void free_unused(Launcher *launcher);
static void want_wake(Launcher *launcher, TimestampTz at);

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
	static Launcher launcher;

	launcher.children = MemoryContextAllocZero(TopMemoryContext,
											   kms_shared->slots *
											   sizeof(*launcher.children));
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
		TimestampTz now;
		long		nap = NAP_LONGEST_MS;

		ResetLatch(MyLatch);
		launcher.wake_at = 0;
		if (!kms_worker_try(one_round, &launcher, &error))
		{
			if (error.sqlstate != ERRCODE_QUERY_CANCELED)
				ereport(LOG,
						(errcode(error.sqlstate),
						 errmsg("kms launcher: %s", error.message)));
			want_wake(&launcher,
					  TimestampTzPlusMilliseconds(GetCurrentTimestamp(), 1000));
		}

		now = GetCurrentTimestamp();
		if (launcher.wake_at != 0)
			nap = Min(nap, TimestampDifferenceMilliseconds(now,
														   launcher.wake_at) + 1);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 nap, PG_WAIT_EXTENSION);
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
one_round(void *arg)
{
	Launcher   *launcher = arg;
	TimestampTz now = GetCurrentTimestamp();
	int			slot;
	int			number;

	if (ConfigReloadPending || !launcher->key_read)
	{
		launcher->key_read = false; /* should one of them raise */
		kms_worker_reload();
		kms_key_source_read();
		request_keys();
		launcher->key_read = true;
		launcher->epochs_at = 0;
	}
	if (kms_key_source_poll())
		want_wake(launcher, TimestampTzPlusMilliseconds(now, COMMAND_POLL_MS));
	if (launcher->key_generation != kms_master_generation())
	{
		launcher->key_generation = kms_master_generation();
		launcher->epochs_at = 0;
		request_keys();
	}
	watch_epochs(launcher, now);
	if (RecoveryInProgress())
	{
		want_wake(launcher, TimestampTzPlusMilliseconds(now, RECOVERY_POLL_MS));
		return;
	}

	if (list_due(launcher, now))
		list_databases(launcher);
	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		for (number = 0; number < KMS_WORKERS; number++)
			reap(launcher, slot, number, now);
	}
	if (sweep_due(launcher, now))
		sweep(launcher, now);
	free_unused(launcher);
	probe_databases(launcher, now);
	start_workers(launcher, now);
}

/* All databases that can be connected to, to be looked at once. */
static void
list_databases(Launcher *launcher)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	Listed	   *listed;
	int			size = 64;
	int			count = 0;
	int			i;

	listed = MemoryContextAlloc(TopMemoryContext, size * sizeof(Listed));

	kms_worker_begin("listing databases");
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		bool		served = kms_events_has_ring(form->oid);

		/* closed to connections: only if it has been served before */
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
		listed[i].probed = was_probed(launcher, listed[i].oid);
	if (launcher->databases != NULL)
		pfree(launcher->databases);
	launcher->databases = listed;
	launcher->database_count = count;
	launcher->listed_at = GetCurrentTimestamp();
}

static bool
is_usable(Form_pg_database database)
{
	/* a limit of -2 marks one whose DROP was interrupted */
	return database->datconnlimit != -2 &&
		strcmp(NameStr(database->datname), "template0") != 0;
}

/* Those that have been served before first, and older ones before newer. */
static int
compare_listed(const void *a, const void *b)
{
	const Listed *left = a;
	const Listed *right = b;

	if (left->served != right->served)
		return left->served ? -1 : 1;
	return left->oid < right->oid ? -1 : left->oid > right->oid;
}

/* One that found no place is looked at again. */
static bool
was_probed(Launcher *launcher, Oid database_oid)
{
	int			i;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	for (i = 0; i < KMS_BEYOND_MAX && kms_shared->beyond[i] != database_oid; i++)
		;
	LWLockRelease(&kms_shared->lock);
	if (i < KMS_BEYOND_MAX)
		return false;
	for (i = 0; i < launcher->database_count; i++)
	{
		if (launcher->databases[i].oid == database_oid)
			return launcher->databases[i].probed;
	}
	return false;
}

/* When it begins, now and then, and when a database has been made. */
static bool
list_due(Launcher *launcher, TimestampTz now)
{
	TimestampTz due = TimestampTzPlusMilliseconds(launcher->listed_at,
												  LIST_INTERVAL_MS);

	if (pg_atomic_exchange_u32(&kms_shared->databases_made, 0) != 0 ||
		launcher->listed_at == 0 || launcher->listed_at > now)
		return true;
	want_wake(launcher, due);
	return due <= now;
}

/* Those that are locked come later: else they would keep the slots. */
static void
probe_databases(Launcher *launcher, TimestampTz now)
{
	int			i;

	for (i = 0; i < launcher->database_count; i++)
	{
		Listed	   *listed = &launcher->databases[i];
		KmsDatabase *database;
		bool		locked;

		if (listed->probed)
			continue;
		kms_worker_begin("looking at a database");
		locked = is_locked(listed->oid);
		kms_worker_commit();
		if (locked)
		{
			want_wake(launcher,
					  TimestampTzPlusMilliseconds(now, LOCKED_PAUSE_MS));
			continue;
		}
		database = kms_shared_probe(listed->oid);
		if (database == NULL)
			return;				/* until those before have been looked at */
		listed->probed = true;
		kms_shared_request(database, KMS_MAINTENANCE);
	}
}

/* Have the keys of all databases looked at that are known to have some. */
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
watch_epochs(Launcher *launcher, TimestampTz now)
{
	bool		already;
	char	   *missing;

	if (launcher->epochs_at <= now &&
		now - launcher->epochs_at < USECS_PER_DAY)
		return;
	launcher->epochs_at = now;
	missing = kms_month_key_missing(&already);
	if (missing == NULL)
		return;
	ereport(LOG,
			(errmsg("kms: %s", missing),
			 errhint("Add it to the master keys and reload the server; see kms.master_key_epochs.")));
	pfree(missing);
}

/* Notice that a worker has ended, and whether it ever worked. */
static void
reap(Launcher *launcher, int slot, int number, TimestampTz now)
{
	Child	   *child = &launcher->children[slot][number];
	KmsWorkerState *state = &kms_shared->databases[slot].worker[number];
	bool		worked = true;
	pid_t		pid;

	if (child->handle != NULL &&
		GetBackgroundWorkerPid(child->handle, &pid) == BGWH_STOPPED)
	{
		pfree(child->handle);
		child->handle = NULL;
	}
	else if (child->reserved_pid != 0 &&
			 kms_reserved_writer_ended(child->reserved, child->reserved_pid))
		child->reserved_pid = 0;
	else
		return;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	if (state->heartbeat < child->started_at &&
		state->failed_at < child->started_at)
	{
		worked = false;
		state->failed_at = now;
		state->failures++;
		strlcpy(state->last_error, "the worker ended before its first round; the server log says why",
				sizeof(state->last_error));
	}
	if (state->failed_at != 0 && state->failures > 0)
	{
		long		pause = kms_worker_backoff(state->failures);

		/* one that works leaves for others whatever it waits for */
		if (number == KMS_WRITER && worked)
			pause = Min(pause, FAILED_WRITER_PAUSE_MS);
		state->not_before = TimestampTzPlusMilliseconds(now, pause);
	}
	LWLockRelease(&kms_shared->lock);
}

static bool
is_running(Launcher *launcher, int slot, int number)
{
	Child	   *child = &launcher->children[slot][number];
	KmsDatabase *database = &kms_shared->databases[slot];

	return child->handle != NULL || child->reserved_pid != 0 ||
		*(volatile int *) &database->worker[number].pid != 0 ||
		(number == KMS_WRITER && OidIsValid(database->oid) &&
		 kms_reserved_writer_serves(database->oid));
}

static bool
any_running(Launcher *launcher, int slot)
{
	int			number;

	for (number = 0; number < KMS_WORKERS; number++)
	{
		if (is_running(launcher, slot, number))
			return true;
	}
	return false;
}

/* Workers of these numbers, in all databases. */
static int
count_running(Launcher *launcher, int first, int last)
{
	int			count = 0;
	int			slot;
	int			number;

	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		for (number = first; number <= last; number++)
		{
			if (is_running(launcher, slot, number))
				count++;
		}
	}
	return count;
}

/*
 * Writers first, but for the place of maintenance that is due while none
 * runs.  Maintenance leaves one for writers.  The reserved writers have theirs,
 * and maintenance has one even if no others are left.
 */
static void
start_workers(Launcher *launcher, TimestampTz now)
{
	int			reserved = Min(kms_reserved_writer_count(), kms_max_workers);
	int			places = kms_max_workers - reserved;
	int			most = reserved > 0 ? Max(1, places) : Max(1, places - 1);
	int			maintenance = count_running(launcher, KMS_MAINTENANCE,
											KMS_MAINTENANCE);
	int			kept = 0;
	int			writers;
	int			waiting;

	if (maintenance == 0 && is_due(launcher, KMS_MAINTENANCE, now) &&
		(kms_max_workers > 1 || reserved > 0 || launcher->last == KMS_WRITER))
		kept = 1;
	launcher->callers_waiting = 0;
	writers = start_number(launcher, KMS_WRITER,
						   places - count_in_places(launcher) - kept, now);
	waiting = start_number(launcher, KMS_MAINTENANCE,
						   Min(Max(places, Min(1, reserved)) -
							   count_in_places(launcher),
							   most - maintenance), now);
	pg_atomic_write_u32(&kms_shared->writers_waiting, writers);
	pg_atomic_write_u32(&kms_shared->waiting, writers + waiting);
	pg_atomic_write_u32(&kms_shared->callers_waiting, launcher->callers_waiting);
	if (launcher->callers_waiting > 0)
		wake_writers();
	start_keygen(launcher, now);
}

/* Writers and maintenance, without the reserved ones. */
static int
count_in_places(Launcher *launcher)
{
	int			count = count_running(launcher, KMS_WRITER, KMS_MAINTENANCE);
	int			slot;

	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		if (OidIsValid(kms_shared->databases[slot].oid) &&
			kms_reserved_writer_serves(kms_shared->databases[slot].oid))
			count--;
	}
	return count;
}

/* Those that have nothing to write leave if others wait. */
static void
wake_writers(void)
{
	int			slot;

	for (slot = 0; slot < kms_shared->slots; slot++)
		(void) kms_shared_wake(&kms_shared->databases[slot], KMS_WRITER);
}

/* The first of each database before the second of any. */
static void
start_keygen(Launcher *launcher, TimestampTz now)
{
	int			waiting = 0;
	int			number;

	for (number = KMS_KEYGEN; number < KMS_WORKERS; number++)
		waiting += start_number(launcher, number, kms_keygen_workers -
								count_running(launcher, KMS_KEYGEN,
											  KMS_WORKERS - 1), now);
	pg_atomic_write_u32(&kms_shared->keygen_waiting, waiting);
}

/* Whether some database waits for its worker of this number. */
static bool
is_due(Launcher *launcher, int number, TimestampTz now)
{
	int			slot;

	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		Candidate	candidate;

		look_at(launcher, slot, number, now, &candidate);
		if (candidate.wanted && candidate.due <= now)
			return true;
	}
	return false;
}

/* Start at most "most" workers; returns how many have to wait. */
static int
start_number(Launcher *launcher, int number, int most, TimestampTz now)
{
	int			first = launcher->next[number];
	int			waiting = 0;
	int			i;

	for (i = 0; i < kms_shared->slots; i++)
	{
		int			slot = (first + i) % kms_shared->slots;
		TimestampTz *since = &launcher->children[slot][number].waiting_since;
		bool		reserved = number == KMS_WRITER && kms_reserved_writer_waits();
		Candidate	candidate;

		look_at(launcher, slot, number, now, &candidate);
		if (!candidate.wanted || candidate.due > now)
		{
			if (candidate.wanted)
				want_wake(launcher, candidate.due);
			*since = 0;
			continue;
		}
		if ((reserved || (most > 0 && has_slot(launcher))) &&
			!is_open(launcher, slot, number, now))
			continue;
		if (reserved)
			reserved = assign(launcher, slot, &candidate, now);
		if (reserved ||
			(most > 0 && start(launcher, slot, number, &candidate, now)))
		{
			launcher->next[number] = (slot + 1) % kms_shared->slots;
			end_turn_wait(launcher, slot, number, now);
			if (reserved)
				continue;
			if (number < KMS_KEYGEN)
				launcher->last = number;
			most--;
		}
		else
		{
			if (*since == 0 || *since > now)
				*since = now;
			waiting++;
			if (number == KMS_WRITER && has_callers(slot))
				launcher->callers_waiting++;
		}
	}
	return waiting;
}

/* Whether calls wait for the writer of the database. */
static bool
has_callers(int slot)
{
	KmsDatabase *database = &kms_shared->databases[slot];

	return kms_audit == KMS_AUDIT_REQUIRED ||
		pg_atomic_read_u64(&database->flush_wanted) !=
		pg_atomic_read_u64(&database->flush_done);
}

/* Whether the last attempt to register a worker is long enough ago. */
static bool
has_slot(Launcher *launcher)
{
	if (!kms_shared_pausing(launcher->no_slot_until, NO_SLOT_PAUSE_MS))
		return true;
	want_wake(launcher, launcher->no_slot_until);
	return false;
}

/*
 * Whether a worker can connect to the database now.  One whose DROP was
 * interrupted, or that is gone, is left alone.  Where it is being dropped,
 * renamed, moved or copied, the worker would wait for that in its place.
 */
static bool
is_open(Launcher *launcher, int slot, int number, TimestampTz now)
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
		locked = is_locked(database->oid);
	kms_worker_commit();

	if (locked)
	{
		want_wake(launcher, TimestampTzPlusMilliseconds(now, LOCKED_PAUSE_MS));
		leave_for_later(launcher, slot);
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

/* In a transaction.  Whether one would wait to connect to it. */
static bool
is_locked(Oid database_oid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database_oid, 0);
	return LockAcquire(&tag, RowExclusiveLock, false, true) ==
		LOCKACQUIRE_NOT_AVAIL;
}

/* A database that was only to be looked at leaves its slot to others. */
static void
leave_for_later(Launcher *launcher, int slot)
{
	KmsDatabase *database = &kms_shared->databases[slot];
	Oid			database_oid = InvalidOid;
	int			i;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	if (database->probing && !any_running(launcher, slot))
	{
		database_oid = database->oid;
		database->oid = InvalidOid;
	}
	LWLockRelease(&kms_shared->lock);
	for (i = 0; i < launcher->database_count; i++)
	{
		if (launcher->databases[i].oid == database_oid)
			launcher->databases[i].probed = false;
	}
}

/* Have a reserved writer serve the database; false: none waits. */
static bool
assign(Launcher *launcher, int slot, const Candidate *candidate,
	   TimestampTz now)
{
	Child	   *child = &launcher->children[slot][KMS_WRITER];
	KmsWorkerState *state = &kms_shared->databases[slot].worker[KMS_WRITER];
	int			pid;
	int			number = kms_reserved_writer_assign(candidate->oid, &pid);

	if (number < 0)
		return false;
	child->reserved = number;
	child->reserved_pid = pid;
	note_start(child, state, now);
	return true;
}

static void
note_start(Child *child, KmsWorkerState *state, TimestampTz now)
{
	child->started_at = now;
	child->no_slot_since = 0;
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	state->started_at = now;
	state->hopeless = false;
	LWLockRelease(&kms_shared->lock);
}

/* A worker has been started: keep how long it had to wait for that. */
static void
end_turn_wait(Launcher *launcher, int slot, int number, TimestampTz now)
{
	Child	   *child = &launcher->children[slot][number];

	if (number == KMS_WRITER && child->waiting_since != 0 &&
		now - child->waiting_since >= 1000)
	{
		LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
		kms_shared->turn_at = now;
		kms_shared->turn_ms = (now - child->waiting_since) / 1000;
		kms_shared->turn_database = kms_shared->databases[slot].oid;
		LWLockRelease(&kms_shared->lock);
	}
	child->waiting_since = 0;
}

/* Whether, and when, a worker has to be started. */
static void
look_at(Launcher *launcher, int slot, int number, TimestampTz now,
		Candidate *candidate)
{
	KmsDatabase *database = &kms_shared->databases[slot];
	KmsWorkerState *state = &database->worker[number];
	uint32		requested = pg_atomic_read_u32(&state->requested);

	memset(candidate, 0, sizeof(*candidate));
	if (!OidIsValid(database->oid) || is_running(launcher, slot, number) ||
		number >= KMS_KEYGEN + kms_keygen_workers)
		return;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	candidate->oid = database->oid;
	if (requested != KMS_REQUEST_NONE)
	{
		candidate->wanted = true;
		candidate->due = 0;
	}
	else if (number == KMS_MAINTENANCE && kms_maintenance &&
			 database->has_extension)
	{
		candidate->wanted = true;
		candidate->due = maintenance_due(database, now);
	}
	if (kms_shared_pausing(state->not_before, KMS_WORKER_BACKOFF_MS))
		candidate->due = Max(candidate->due, state->not_before);
	if (kms_shared_pausing(database->closed_until, KMS_DROP_CLOSED_MS))
		candidate->due = Max(candidate->due, database->closed_until);
	LWLockRelease(&kms_shared->lock);
}

/* Must hold state->lock. */
static TimestampTz
maintenance_due(const KmsDatabase *database, TimestampTz now)
{
	TimestampTz due;

	if (database->maintained_at == 0)
		return 0;
	due = TimestampTzPlusMilliseconds(database->maintained_at,
									  (int64) kms_maintenance_interval * 1000);

	/* the clock was put back */
	if (database->maintained_at > now)
		return 0;
	return due;
}

static bool
start(Launcher *launcher, int slot, int number, const Candidate *candidate,
	  TimestampTz now)
{
	Child	   *child = &launcher->children[slot][number];
	KmsWorkerState *state = &kms_shared->databases[slot].worker[number];
	int			kind = Min(number, KMS_KEYGEN);
	const char *name = kinds[kind].name;
	BackgroundWorker worker;
	KmsWorkerOrder order;
	MemoryContext context;
	bool		registered;

	if (!has_slot(launcher))
		return false;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, "kms", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, kinds[kind].function,
			sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "%s of database %u",
			 name, candidate->oid);
	strlcpy(worker.bgw_type, name, sizeof(worker.bgw_type));
	memset(&order, 0, sizeof(order));
	order.database_oid = candidate->oid;
	order.number = number;
	memcpy(worker.bgw_extra, &order, sizeof(order));

	context = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, &child->handle);
	MemoryContextSwitchTo(context);
	if (registered)
	{
		launcher->no_slot_until = 0;
		note_start(child, state, now);
		pg_atomic_write_u32(&kms_shared->keygen_unwanted, 0);
		return true;
	}

	child->handle = NULL;
	if (child->no_slot_since == 0 || child->no_slot_since > now)
		child->no_slot_since = now;

	/* keys can wait for a while, events cannot */
	if (number < KMS_KEYGEN)
		send_keygen_away();
	if ((number < KMS_KEYGEN && !(number == KMS_WRITER && gets_turn())) ||
		TimestampDifferenceExceeds(child->no_slot_since, now, KEYGEN_PATIENCE_MS))
	{
		LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
		state->failed_at = now;
		strlcpy(state->last_error,
				"no background worker slot is free (max_worker_processes)",
				sizeof(state->last_error));
		state->hopeless = TimestampDifferenceExceeds(child->no_slot_since, now,
													 NO_SLOT_PATIENCE_MS);
		LWLockRelease(&kms_shared->lock);
	}
	launcher->no_slot_until = TimestampTzPlusMilliseconds(now,
														  NO_SLOT_PAUSE_MS);
	want_wake(launcher, launcher->no_slot_until);
	if (launcher->no_slot_logged_at == 0 ||
		TimestampDifferenceExceeds(launcher->no_slot_logged_at, now,
								   NO_SLOT_LOG_MS))
	{
		launcher->no_slot_logged_at = now;
		ereport(LOG,
				(errmsg("kms: no background worker slot is free for the %s of database %u",
						name, candidate->oid),
				 errhint("Raise max_worker_processes.")));
	}
	return false;
}

/* Whether a writer comes even if others have all the slots. */
static bool
gets_turn(void)
{
	bool		came;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	came = kms_shared->reserved_came;
	LWLockRelease(&kms_shared->lock);
	return came;
}

/* Until a worker is started again; a writer comes before them. */
static void
send_keygen_away(void)
{
	int			slot;
	int			number;

	pg_atomic_write_u32(&kms_shared->keygen_unwanted, 1);
	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		for (number = KMS_KEYGEN; number < KMS_WORKERS; number++)
			(void) kms_shared_wake(&kms_shared->databases[slot], number);
	}
}

/* At start, now and then, and when a DROP DATABASE should be done. */
static bool
sweep_due(Launcher *launcher, TimestampTz now)
{
	TimestampTz due = launcher->swept_at == 0 ? 0 :
	TimestampTzPlusMilliseconds(launcher->swept_at, SWEEP_INTERVAL_MS);
	int			slot;

	if (launcher->swept_at > now)
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
		want_wake(launcher, due);
	return due <= now;
}

/* Free the slots and delete the ring files of databases that are gone. */
static void
sweep(Launcher *launcher, TimestampTz now)
{
	int			slot;

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
		if (!exists && !any_running(launcher, slot))
			database->oid = InvalidOid;
		LWLockRelease(&kms_shared->lock);
	}
	kms_events_sweep(database_exists, NULL);
	kms_worker_commit();
	launcher->swept_at = now;
}

/* In a transaction.  One whose DROP was interrupted counts as gone. */
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

/* Databases that were looked at and have no extension need no slot. */
static void
free_unused(Launcher *launcher)
{
	int			slot;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	for (slot = 0; slot < kms_shared->slots; slot++)
	{
		KmsDatabase *database = &kms_shared->databases[slot];
		bool		used = !database->probed || database->has_extension ||
		any_running(launcher, slot);
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

static void
want_wake(Launcher *launcher, TimestampTz at)
{
	if (launcher->wake_at == 0 || at < launcher->wake_at)
		launcher->wake_at = at;
}
