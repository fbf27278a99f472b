/*
 * Recording events in this database's ring, from any session.
 *
 * The ring is a file, pg_stat_tmp/kms.<database oid>, mapped by every session
 * of the database.  It is not in PostgreSQL's shared memory because that is
 * thrown away whenever any process is killed.  pg_stat_tmp is kept over a
 * crash and left out of base backups.
 *
 * Made: under database->ring_lock, with all its blocks allocated (a hole on
 * a full disk would be SIGBUS), under a temporary name, then renamed.
 *
 * Trusted: only after fstat says that it is a regular file of ours and
 * kms_ring_valid that it is a ring of this cluster, database and extension.
 * One that cannot be opened now (no permission, no descriptor left) may be
 * full of events: it is left alone and tried again later.
 *
 * Taken over: by the first session that maps it after the server started,
 * when every earlier producer is dead; database->ring_generation, 0 until
 * then, tells.  Sessions compare it with the one they mapped at each push.
 *
 * Replaced, by a ring of a new epoch: when it is of another extension (one
 * dropped since: its events must not flow into the new one's tables), has
 * another size than the setting says, or went through a crash of the machine,
 * after which the file may be older than what the tables say was read.  A
 * ring that is replaced is renamed to kms.<database oid>.<epoch>; the writer
 * writes what it holds and deletes it.  Garbage is just overwritten.  A ring
 * that is older than the tables although the machine has not gone down (the
 * file was put back) is found by the writer when sessions use it already: it
 * stays, and goes on under a new epoch (kms_events_renew).
 *
 * Nothing in the path of kms_events_push raises: an event that cannot be
 * recorded is counted (dropped in the ring, or state->unrecorded).  A push is
 * not interrupted half-way in a living server, because signals that end a
 * session only set flags.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/events.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "shmem/anchor_file.h"

#define RING_PREFIX		"kms."
#define FAILURE_PAUSE_MS	1000	/* before a ring is tried again */
#define COMPLAINT_PAUSE_MS		60000	/* between two log lines about it */
#define FLUSH_SLICE_MS		200
#define FLUSH_PATIENCE_MS	10000	/* for a writer that makes no progress */
#define LAUNCHER_PATIENCE_MS	1000
#define DEBT_FREE		16		/* events of a session while the ring is full */

typedef enum MapResult
{
	MAPPED,
	MAP_OTHER_EXTENSION,		/* the ring there is another extension's */
	MAP_IMPOSSIBLE
} MapResult;

typedef enum OpenResult
{
	RING_OPENED,
	RING_ABSENT,				/* or something that is no ring of ours */
	RING_UNREADABLE				/* there may be one */
} OpenResult;

/* What shows that a writer gets on. */
typedef struct Progress
{
	TimestampTz heartbeat;
	uint64		tail;			/* of the ring */
	uint64		flushed;
	instr_time	since;			/* no longer than that it has been so */
} Progress;

static KmsRing *ring = NULL;
static size_t ring_size;
static uint64 ring_generation;	/* of the database when it was mapped */
static Oid	bound_extension = InvalidOid;
static TimestampTz failed_until = 0;
static KmsDatabase *claimed_in = NULL;	/* where this session has claims */
static Oid	claimed_oid = InvalidOid;
static uint64 debt = 0;			/* events pushed since it was half empty */
static char retired_path[MAXPGPATH];	/* of what kms_events_retired gave */

static bool is_current(KmsDatabase *database);
static KmsPush push(KmsDatabase *database, const KmsEvent *event,
					KmsEventClass class, KmsReceipt *receipt);
static bool is_half_full(void);
static bool may_be_written(KmsDatabase *database);
static bool is_hopeless(KmsDatabase *database, TimestampTz since);
static void look_for_progress(KmsDatabase *database, Progress *progress);
static long elapsed_ms(instr_time since);
static void record_on_standby(const KmsEvent *event);
static MapResult map(KmsDatabase *database, bool may_replace);
static MapResult map_locked(KmsDatabase *database, bool may_replace);
static void unmap(void);
static KmsRing *open_retired(int64 epoch, bool *unread);
static OpenResult open_ring(const char *path, KmsRing **found, size_t *size,
							Oid *extension);
static OpenResult map_file(const char *path, int fd, KmsRing **found,
						   size_t *size);
static KmsRing *make_ring(const char *path, size_t size);
static int64 new_epoch(void);
static void ring_identity(KmsRingIdentity *identity);
static void complain(const char *path, const char *cannot_be, int error);
static uint64 boot_hash(void);
static void close_rings(int code, Datum arg);
static void close_ring(Oid database_oid);
static void report_left(const char *path, KmsRing *header,
						Oid database_oid);

void
kms_events_bind(Oid extension_oid)
{
	KmsDatabase *database;
	MapResult	result;

	if (kms_shared == NULL || RecoveryInProgress())
		return;
	database = kms_shared_database();
	if (database == NULL)
		return;

	if (extension_oid != bound_extension)
	{
		unmap();
		bound_extension = extension_oid;
		failed_until = 0;
	}
	if (is_current(database))
		return;

	result = map(database, false);

	/*
	 * Another extension's ring is replaced only by one that is really there:
	 * a session that has not heard of a DROP yet must not undo what the new
	 * one has.
	 */
	if (result == MAP_OTHER_EXTENSION)
	{
		char	   *name = get_extension_name(extension_oid);

		if (name != NULL)
		{
			pfree(name);
			(void) map(database, true);
		}
	}
}

void
kms_events_bind_again(void)
{
	if (OidIsValid(bound_extension))
		kms_events_bind(bound_extension);
}

void
kms_events_push(const KmsEvent *event, KmsEventClass class)
{
	KmsReceipt	receipt;
	KmsPush		pushed;

	if (kms_shared == NULL)
		return;
	if (RecoveryInProgress())
	{
		record_on_standby(event);
		return;
	}
	pushed = kms_events_try(event, class, &receipt);
	if (pushed != KMS_PUSH_DONE)
		kms_events_give_up(event, pushed);
}

KmsPush
kms_events_try(const KmsEvent *event, KmsEventClass class,
			   KmsReceipt *receipt)
{
	KmsDatabase *database;
	KmsPush		result = KMS_PUSH_NO_RING;

	HOLD_INTERRUPTS();
	database = kms_shared_database();
	if (database != NULL)
		result = push(database, event, class, receipt);
	RESUME_INTERRUPTS();
	return result;
}

void
kms_events_give_up(const KmsEvent *event, KmsPush pushed)
{
	KmsDatabase *database = kms_shared_database();

	if (ring != NULL && pushed == KMS_PUSH_CROWDED)
		kms_ring_count(ring, event);
	else if (ring != NULL)
		kms_ring_drop(ring);
	else
	{
		pg_atomic_fetch_add_u64(&kms_shared->unrecorded, 1);
		if (database != NULL)
			pg_atomic_fetch_add_u64(&database->unrecorded, 1);
	}
}

/* Without a ring there is nothing to wait for: true. */
bool
kms_events_claim(void)
{
	KmsDatabase *database = kms_shared_database();
	KmsRingCounters counters;
	uint32		claims;

	if (database == NULL)
		return true;
	claimed_in = database;
	claimed_oid = MyDatabaseId;
	claims = pg_atomic_fetch_add_u32(&database->ring_claims, 1) + 1;
	if (ring == NULL)
		return true;
	kms_ring_counters(ring, &counters);
	if (counters.head - counters.tail + claims <= counters.slots)
		return true;
	kms_events_release_claim();
	return false;
}

/*
 * The launcher may have freed the slot of the database since, and given it to
 * another; then the claim is gone.  Never below zero: that would leave no room
 * for anybody.
 */
void
kms_events_release_claim(void)
{
	uint32		claims;

	if (claimed_in == NULL || claimed_in->oid != claimed_oid)
		return;
	claims = pg_atomic_read_u32(&claimed_in->ring_claims);
	while (claims > 0 &&
		   !pg_atomic_compare_exchange_u32(&claimed_in->ring_claims, &claims,
										   claims - 1))
		;
}

bool
kms_events_in_debt(void)
{
	if (debt <= DEBT_FREE || ring == NULL)
		return false;
	if (is_half_full())
		return true;
	debt = 0;
	return false;
}

KmsFate
kms_events_fate(const KmsReceipt *receipt)
{
	KmsDatabase *database = kms_shared_database();

	if (database == NULL || ring_generation != receipt->generation ||
		!is_current(database))
		return KMS_FATE_UNKNOWN;
	return kms_ring_released(ring, receipt->position) ? KMS_FATE_DURABLE
		: KMS_FATE_PENDING;
}

bool
kms_events_flush(long timeout_ms)
{
	KmsDatabase *database;
	TimestampTz start = GetCurrentTimestamp();
	Progress	progress = {0};
	instr_time	since;
	uint64		mine;
	bool		done = false;

	if (kms_shared == NULL || RecoveryInProgress())
		return false;
	database = kms_shared_database();
	if (database == NULL)
		return false;

	INSTR_TIME_SET_CURRENT(since);
	mine = pg_atomic_fetch_add_u64(&database->flush_wanted, 1) + 1;
	ConditionVariablePrepareToSleep(&database->flushed);
	for (;;)
	{
		long		elapsed;
		long		slice = FLUSH_SLICE_MS;

		if (pg_atomic_read_u64(&database->flush_closed) >= mine)
			break;
		if (pg_atomic_read_u64(&database->flush_done) >= mine)
		{
			done = true;
			break;
		}
		elapsed = elapsed_ms(since);
		if (timeout_ms >= 0)
		{
			if (elapsed >= timeout_ms)
				break;
			slice = Min(slice, timeout_ms - elapsed);
		}
		if (elapsed >= LAUNCHER_PATIENCE_MS && !may_be_written(database))
			break;
		if (is_hopeless(database, start))
			break;
		look_for_progress(database, &progress);
		if (elapsed_ms(progress.since) >= FLUSH_PATIENCE_MS)
			break;

		kms_shared_request(database, KMS_WRITER);
		(void) kms_shared_wake(database, KMS_WRITER);
		(void) ConditionVariableTimedSleep(&database->flushed, slice,
										   PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	return done;
}

char *
kms_events_obstacle(void)
{
	KmsDatabase *database = kms_shared_database();
	KmsWorkerState writer = {0};
	int			launcher = 0;

	if (database != NULL)
	{
		LWLockAcquire(&kms_shared->lock, LW_SHARED);
		launcher = kms_shared->launcher_pid;
		writer = database->worker[KMS_WRITER];
		LWLockRelease(&kms_shared->lock);
	}
	if (launcher != 0 && writer.failed_at != 0)
		return pstrdup(writer.last_error);
	if (launcher != 0 && writer.pid != 0)
		return psprintf("process %d makes no progress", writer.pid);
	return pstrdup("it does not run");
}

/* A round that began after the wish has met what does not pass by itself. */
static bool
is_hopeless(KmsDatabase *database, TimestampTz since)
{
	const KmsWorkerState *writer = &database->worker[KMS_WRITER];
	bool		hopeless;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	hopeless = writer->hopeless && writer->failed_at > since;
	LWLockRelease(&kms_shared->lock);
	return hopeless;
}

static void
look_for_progress(KmsDatabase *database, Progress *progress)
{
	Progress	now = {0};
	KmsRingCounters counters;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	now.heartbeat = database->worker[KMS_WRITER].heartbeat;
	LWLockRelease(&kms_shared->lock);
	if (ring != NULL)
	{
		kms_ring_counters(ring, &counters);
		now.tail = counters.tail;
	}
	now.flushed = pg_atomic_read_u64(&database->flush_done);
	if (!INSTR_TIME_IS_ZERO(progress->since) &&
		now.heartbeat == progress->heartbeat && now.tail == progress->tail &&
		now.flushed == progress->flushed)
		return;
	*progress = now;
	INSTR_TIME_SET_CURRENT(progress->since);
}

static long
elapsed_ms(instr_time since)
{
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, since);
	return (long) INSTR_TIME_GET_MILLISEC(elapsed);
}

/* Not if there is no launcher, or no place for a writer. */
static bool
may_be_written(KmsDatabase *database)
{
	KmsWorkerState *writer = &database->worker[KMS_WRITER];
	bool		may;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	may = kms_shared->launcher_pid != 0 &&
		(writer->pid != 0 || writer->failed_at == 0);
	LWLockRelease(&kms_shared->lock);
	return may;
}

bool
kms_events_have_ring(void)
{
	KmsDatabase *database = kms_shared_database();

	return database != NULL &&
		(is_current(database) ||
		 (OidIsValid(bound_extension) && map(database, false) == MAPPED));
}

KmsRing *
kms_events_ring(void)
{
	return ring;
}

bool
kms_events_pending(void)
{
	KmsDatabase *database = kms_shared_database();
	KmsRingCounters counters;

	if (ring == NULL || database == NULL)
		return false;
	if (!is_current(database))
		return true;
	kms_ring_counters(ring, &counters);
	return counters.head != counters.tail ||
		kms_tally_pending(kms_ring_tally(ring));
}

bool
kms_events_counters(KmsRingCounters *counters, int64 *epoch)
{
	KmsDatabase *database = kms_shared_database();

	if (database == NULL || RecoveryInProgress())
		return false;
	if (!is_current(database) && OidIsValid(bound_extension))
		(void) map(database, false);
	if (ring == NULL)
		return false;
	kms_ring_counters(ring, counters);
	*epoch = kms_ring_epoch(ring);
	return true;
}

bool
kms_events_renew(void)
{
	KmsDatabase *database = kms_shared_database();
	int64		epoch = new_epoch();
	bool		renewed = false;

	if (database == NULL || epoch == 0)
		return false;

	/* a ring is replaced under its epoch's name */
	LWLockAcquire(&database->ring_lock, LW_EXCLUSIVE);
	if (is_current(database))
	{
		kms_ring_renew(ring, epoch);
		renewed = true;
	}
	LWLockRelease(&database->ring_lock);
	return renewed;
}

KmsRing *
kms_events_retired(int64 first, bool *intact, bool *unread)
{
	KmsRing    *retired = first > 0 ? open_retired(first, unread) : NULL;
	DIR		   *dir = AllocateDir(PG_STAT_TMP_DIR);
	struct dirent *entry;

	while (retired == NULL && (entry = ReadDir(dir, PG_STAT_TMP_DIR)) != NULL)
	{
		Oid			database_oid;
		int64		epoch;

		if (kms_events_file_name(entry->d_name, &database_oid, &epoch) &&
			epoch != 0 && database_oid == MyDatabaseId)
			retired = open_retired(epoch, unread);
	}
	FreeDir(dir);

	if (retired != NULL)
	{
		*intact = kms_ring_intact(retired, boot_hash());
		(void) kms_ring_take_over(retired, kms_shared->generation);
	}
	return retired;
}

/* The replaced ring of this epoch; NULL if it is not there, or of no use. */
static KmsRing *
open_retired(int64 epoch, bool *unread)
{
	KmsRing    *retired;
	OpenResult	result;
	size_t		size;
	Oid			extension;

	snprintf(retired_path, sizeof(retired_path),
			 "%s/" RING_PREFIX "%u." INT64_FORMAT,
			 PG_STAT_TMP_DIR, MyDatabaseId, epoch);
	result = open_ring(retired_path, &retired, &size, &extension);
	if (result == RING_UNREADABLE)
		*unread = true;
	else if (result == RING_ABSENT || extension != bound_extension)
		(void) unlink(retired_path);
	else if (kms_ring_epoch(retired) == epoch)
		return retired;
	else
		complain(retired_path, "used: its epoch is not that in its name", 0);
	if (retired != NULL)
		munmap(retired, size);
	return NULL;
}

bool
kms_events_discard(KmsRing *retired)
{
	KmsRingCounters counters;

	kms_ring_counters(retired, &counters);
	munmap(retired, kms_ring_bytes(counters.slots));
	if (unlink(retired_path) == 0 || errno == ENOENT)
		return true;
	complain(retired_path, "removed", errno);
	return false;
}

bool
kms_events_has_ring(Oid database_oid)
{
	char		path[MAXPGPATH];
	struct stat st;

	snprintf(path, sizeof(path), "%s/" RING_PREFIX "%u",
			 PG_STAT_TMP_DIR, database_oid);
	return lstat(path, &st) == 0;
}

List *
kms_events_served(void)
{
	DIR		   *dir = AllocateDir(PG_STAT_TMP_DIR);
	struct dirent *entry;
	List	   *served = NIL;

	while ((entry = ReadDirExtended(dir, PG_STAT_TMP_DIR, LOG)) != NULL)
	{
		Oid			database_oid;
		int64		epoch;

		if (kms_events_file_name(entry->d_name, &database_oid, &epoch))
			served = list_append_unique_oid(served, database_oid);
	}
	FreeDir(dir);
	list_sort(served, list_oid_cmp);
	return served;
}

void
kms_events_sweep(bool (*exists) (Oid database_oid, void *arg), void *arg)
{
	DIR		   *dir = AllocateDir(PG_STAT_TMP_DIR);
	struct dirent *entry;

	while ((entry = ReadDir(dir, PG_STAT_TMP_DIR)) != NULL)
	{
		char		path[MAXPGPATH];
		Oid			database_oid;
		int64		epoch;

		if (!kms_events_file_name(entry->d_name, &database_oid, &epoch) ||
			exists(database_oid, arg))
			continue;
		snprintf(path, sizeof(path), "%s/%s", PG_STAT_TMP_DIR, entry->d_name);
		if (unlink(path) < 0 && errno != ENOENT)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not remove file \"%s\": %m", path),
					 KMS_HIDE_STATEMENT));
	}
	FreeDir(dir);
	kms_anchor_file_sweep(exists, arg);
}

bool
kms_events_file_name(const char *name, Oid *database_oid, int64 *epoch)
{
	char	   *end;
	unsigned long value;

	if (strncmp(name, RING_PREFIX, strlen(RING_PREFIX)) != 0)
		return false;
	name += strlen(RING_PREFIX);
	if (*name < '1' || *name > '9')
		return false;
	errno = 0;
	value = strtoul(name, &end, 10);
	if (errno != 0 || value > PG_UINT32_MAX || (*end != '\0' && *end != '.'))
		return false;
	*database_oid = (Oid) value;
	*epoch = 0;
	if (*end == '.' && end[1] >= '1' && end[1] <= '9')
	{
		errno = 0;
		*epoch = strtoi64(end + 1, &end, 10);
		if (errno != 0 || *end != '\0')
			*epoch = 0;
	}
	return true;
}

bool
kms_events_anchor(KmsAnchor *anchor, bool comparing)
{
	KmsDatabase *database = kms_shared_database();
	KmsAnchor	filed;
	bool		found = false;
	uint64		end;

	if (database == NULL || !OidIsValid(bound_extension))
		return false;
	if (!RecoveryInProgress())
	{
		/* the writer is at work on the one that it has mapped */
		if (!comparing && !is_current(database))
			(void) map(database, false);
		found = ring != NULL && kms_anchor_read(kms_ring_anchor(ring), anchor);
		if (found && !comparing && kms_ring_unchecked(ring, &end))
			anchor->exact = 0;
	}
	if (kms_anchor_file_read(bound_extension, &filed) &&
		(!found || filed.number > anchor->number))
	{
		*anchor = filed;
		found = true;
	}
	return found;
}

void
kms_events_keep_anchor(KmsAnchor *anchor)
{
	if (ring != NULL)
		kms_anchor_write(kms_ring_anchor(ring), anchor);
}

void
kms_events_identity(KmsRingIdentity *identity)
{
	ring_identity(identity);
}

void
kms_events_close_at_exit(void)
{
	on_shmem_exit(close_rings, (Datum) 0);
}

static bool
is_current(KmsDatabase *database)
{
	return ring != NULL &&
		ring_generation == pg_atomic_read_u64(&database->ring_generation);
}

/* Must hold interrupts. */
static KmsPush
push(KmsDatabase *database, const KmsEvent *event, KmsEventClass class,
	 KmsReceipt *receipt)
{
	KmsRingPush pushed;
	bool		crowded;

	if (!is_current(database) &&
		(!OidIsValid(bound_extension) || map(database, false) != MAPPED))
		return KMS_PUSH_NO_RING;

	receipt->generation = ring_generation;
	pushed = kms_ring_push(ring, event, class,
						   pg_atomic_read_u32(&database->ring_claims),
						   &receipt->position);
	crowded = is_half_full();
	debt = crowded ? debt + 1 : 0;

	/*
	 * Pairs with the barrier of a writer that leaves: either it sees the
	 * event, or we see that it has gone.
	 */
	pg_memory_barrier();
	if (*(volatile int *) &database->worker[KMS_WRITER].pid == 0)
		kms_shared_request(database, KMS_WRITER);
	else if (crowded)
		(void) kms_shared_wake(database, KMS_WRITER);
	switch (pushed)
	{
		case KMS_RING_CROWDED:
			return KMS_PUSH_CROWDED;
		case KMS_RING_FULL:
			return KMS_PUSH_FULL;
		default:
			return KMS_PUSH_DONE;
	}
}

/* At half, events of refused calls are counted, and so it stays. */
static bool
is_half_full(void)
{
	KmsRingCounters counters;

	kms_ring_counters(ring, &counters);
	return counters.head - counters.tail >= counters.slots / 2;
}

static void
record_on_standby(const KmsEvent *event)
{
	if (kms_status_is_success((KmsStatus) event->status))
	{
		pg_atomic_fetch_add_u64(&kms_shared->standby_successes, 1);
		return;
	}
	pg_atomic_fetch_add_u64(&kms_shared->standby_failures, 1);
	ereport(LOG,
			(errmsg("kms: %s failed on a standby: %s",
					kms_event_operation_name(event->operation),
					kms_status_reason((KmsStatus) event->status)),
			 event->key_id[0] != '\0' ?
			 errdetail_log("Key \"%.64s\".", event->key_id) : 0,
			 KMS_HIDE_STATEMENT));
}

static MapResult
map(KmsDatabase *database, bool may_replace)
{
	MapResult	result;

	if (kms_shared_pausing(failed_until, FAILURE_PAUSE_MS))
		return MAP_IMPOSSIBLE;

	LWLockAcquire(&database->ring_lock, LW_EXCLUSIVE);
	result = map_locked(database, may_replace);
	LWLockRelease(&database->ring_lock);

	failed_until = result != MAP_IMPOSSIBLE ? 0 :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FAILURE_PAUSE_MS);
	return result;
}

/* Must hold database->ring_lock exclusively.  Does not raise. */
static MapResult
map_locked(KmsDatabase *database, bool may_replace)
{
	char		path[MAXPGPATH];
	char		retired[MAXPGPATH];
	size_t		wanted;
	Oid			extension;
	KmsAnchor	anchor;
	bool		anchored = false;
	uint64		generation;
	bool		first_use;

	unmap();
	snprintf(path, sizeof(path), "%s/" RING_PREFIX "%u",
			 PG_STAT_TMP_DIR, MyDatabaseId);
	wanted = kms_ring_bytes(kms_ring_slots((size_t) kms_event_ring_size * 1024));
	generation = pg_atomic_read_u64(&database->ring_generation);
	first_use = generation == 0;

	if (open_ring(path, &ring, &ring_size, &extension) == RING_UNREADABLE)
		return MAP_IMPOSSIBLE;
	if (ring != NULL &&
		(extension != bound_extension ||
		 (first_use &&
		  (ring_size != wanted || !kms_ring_intact(ring, boot_hash())))))
	{
		if (extension != bound_extension && !may_replace)
		{
			unmap();
			return MAP_OTHER_EXTENSION;
		}
		snprintf(retired, sizeof(retired), "%s." INT64_FORMAT,
				 path, kms_ring_epoch(ring));
		anchored = extension == bound_extension &&
			kms_anchor_read(kms_ring_anchor(ring), &anchor);
		unmap();
		if (rename(path, retired) < 0)
		{
			complain(path, "renamed", errno);
			return MAP_IMPOSSIBLE;
		}
	}
	if (ring == NULL)
	{
		ring = make_ring(path, wanted);
		ring_size = wanted;
		if (ring == NULL)
			return MAP_IMPOSSIBLE;
		if (anchored)
		{
			/* the machine may have gone down before the last one was kept */
			anchor.exact = 0;
			kms_anchor_write(kms_ring_anchor(ring), &anchor);
		}
		first_use = true;
	}

	if (first_use)
	{
		uint64		abandoned;

		abandoned = kms_ring_take_over(ring, kms_shared->generation);
		if (abandoned > 0)
			ereport(LOG,
					(errmsg("kms: %llu events that were being recorded when a process was killed are passed over",
							(unsigned long long) abandoned),
					 KMS_HIDE_STATEMENT));
		kms_ring_mark(ring, boot_hash(), false);
		(void) msync(ring, KMS_RING_HEADER_SIZE, MS_SYNC);
		generation = pg_atomic_fetch_add_u64(&kms_shared->ring_generations, 1) + 1;
		pg_atomic_write_u64(&database->ring_generation, generation);
	}
	ring_generation = generation;
	return MAPPED;
}

static void
unmap(void)
{
	if (ring != NULL)
		munmap(ring, ring_size);
	ring = NULL;
	ring_generation = 0;
}

/*
 * Map the file if it is a ring of this cluster and database, and say whose;
 * else *found is NULL, with a line in the log unless there is no file.
 */
static OpenResult
open_ring(const char *path, KmsRing **found, size_t *size, Oid *extension)
{
	KmsRingIdentity identity;
	OpenResult	result;
	int			fd;

	*found = NULL;
	fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
	{
		int			error = errno;

		if (error == ENOENT)
			return RING_ABSENT;
		complain(path, "opened", error);
		/* a link, a directory, a socket */
		return error == ELOOP || error == EISDIR || error == ENXIO ?
			RING_ABSENT : RING_UNREADABLE;
	}
	result = map_file(path, fd, found, size);
	close(fd);

	if (result == RING_OPENED)
	{
		ring_identity(&identity);
		identity.extension_oid = kms_ring_identity(*found)->extension_oid;
		*extension = identity.extension_oid;
		if (!kms_ring_valid(*found, *size, &identity))
		{
			munmap(*found, *size);
			*found = NULL;
			result = RING_ABSENT;
		}
	}
	if (result == RING_ABSENT)
		complain(path, "used: it is not one of this database", 0);
	return result;
}

/* Whatever is in it: RING_ABSENT if it cannot be a ring of ours. */
static OpenResult
map_file(const char *path, int fd, KmsRing **found, size_t *size)
{
	struct stat st;
	void	   *memory;

	if (fstat(fd, &st) < 0)
	{
		complain(path, "examined", errno);
		return RING_UNREADABLE;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
		st.st_size < KMS_RING_HEADER_SIZE + KMS_RING_SLOT_SIZE ||
		st.st_size > (off_t) MaxAllocHugeSize)
		return RING_ABSENT;

	/* somebody has changed modes throughout the data directory */
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0 &&
		fchmod(fd, S_IRUSR | S_IWUSR) < 0)
	{
		complain(path, "made private", errno);
		return RING_UNREADABLE;
	}
	memory = mmap(NULL, (size_t) st.st_size, PROT_READ | PROT_WRITE,
				  MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
	{
		complain(path, "mapped", errno);
		return RING_UNREADABLE;
	}
	*found = memory;
	*size = (size_t) st.st_size;
	return RING_OPENED;
}

/* An empty ring in a new file that takes the place of any other, or NULL. */
static KmsRing *
make_ring(const char *path, size_t size)
{
	char		temporary[MAXPGPATH];
	KmsRingIdentity identity;
	KmsRing    *made = NULL;
	int64		epoch = new_epoch();
	int			fd;
	int			rc;

	if (epoch == 0)
	{
		complain(path, "made without random numbers", 0);
		return NULL;
	}

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	(void) unlink(temporary);
	fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			  S_IRUSR | S_IWUSR);
	if (fd < 0)
	{
		complain(path, "made", errno);
		return NULL;
	}

	do
	{
		rc = posix_fallocate(fd, 0, (off_t) size);
	} while (rc == EINTR);
	if (rc != 0)
	{
		complain(path, "allocated", rc);
	}
	else
	{
		made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (made == MAP_FAILED)
		{
			complain(path, "mapped", errno);
			made = NULL;
		}
	}
	close(fd);

	if (made != NULL)
	{
		ring_identity(&identity);
		kms_ring_format(made, kms_ring_slots(size), epoch, &identity);
		/* before others find it: without a mark it seems to be damaged */
		kms_ring_mark(made, boot_hash(), false);
		if (rename(temporary, path) < 0)
		{
			complain(path, "renamed", errno);
			munmap(made, size);
			made = NULL;
		}
	}
	if (made == NULL)
		(void) unlink(temporary);
	return made;
}

/* 0 if there is no randomness for one. */
static int64
new_epoch(void)
{
	uint64		epoch;

	if (!pg_strong_random(&epoch, sizeof(epoch)))
		return 0;
	return (int64) ((epoch & PG_INT64_MAX) | 1);
}

static void
ring_identity(KmsRingIdentity *identity)
{
	memset(identity, 0, sizeof(*identity));
	identity->system_identifier = GetSystemIdentifier();
	identity->database_oid = MyDatabaseId;
	identity->extension_oid = bound_extension;
}

/*
 * Say in the log, now and then, what is wrong with a ring file, which may
 * mean that events are not recorded.  "error" is an errno or 0.
 */
static void
complain(const char *path, const char *cannot_be, int error)
{
	KmsDatabase *database = kms_shared_database();

	if (database == NULL ||
		kms_shared_pausing(database->ring_silent_until, COMPLAINT_PAUSE_MS))
		return;
	database->ring_silent_until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), COMPLAINT_PAUSE_MS);
	errno = error;
	ereport(LOG,
			(error != 0 ?
			 errmsg("event ring \"%s\" cannot be %s: %m", path, cannot_be) :
			 errmsg("event ring \"%s\" cannot be %s", path, cannot_be),
			 KMS_HIDE_STATEMENT));
}

/* Which run of the operating system this is; 0 where that cannot be known. */
static uint64
boot_hash(void)
{
	static uint64 hash = 0;
	char		id[36];
	int			fd;
	int			i;

	if (hash != 0)
		return hash;
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, id, sizeof(id)) == sizeof(id))
	{
		hash = UINT64CONST(0xcbf29ce484222325); /* FNV-1a */
		for (i = 0; i < (int) sizeof(id); i++)
			hash = (hash ^ (unsigned char) id[i]) * UINT64CONST(0x100000001b3);
	}
	close(fd);
	return hash;
}

/* In the postmaster: all producers have ended, or it does not mean to stop. */
static void
close_rings(int code, Datum arg)
{
	int			i;

	if (code != 0 || kms_shared == NULL)
		return;
	for (i = 0; i < kms_shared->slots; i++)
	{
		KmsDatabase *database = &kms_shared->databases[i];

		if (OidIsValid(database->oid) &&
			pg_atomic_read_u64(&database->ring_generation) != 0)
			close_ring(database->oid);
	}
}

static void
close_ring(Oid database_oid)
{
	char		path[MAXPGPATH];
	KmsRing    *header;
	struct stat st;
	int			fd;

	snprintf(path, sizeof(path), "%s/" RING_PREFIX "%u",
			 PG_STAT_TMP_DIR, database_oid);
	fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		st.st_size >= KMS_RING_HEADER_SIZE && fsync(fd) == 0)
	{
		header = mmap(NULL, KMS_RING_HEADER_SIZE, PROT_READ | PROT_WRITE,
					  MAP_SHARED, fd, 0);
		if (header != MAP_FAILED)
		{
			report_left(path, header, database_oid);
			kms_ring_mark(header, boot_hash(), true);
			(void) msync(header, KMS_RING_HEADER_SIZE, MS_SYNC);
			munmap(header, KMS_RING_HEADER_SIZE);
		}
	}
	close(fd);
}

/* What the writer could not write when the server was stopped. */
static void
report_left(const char *path, KmsRing *header, Oid database_oid)
{
	KmsRingCounters counters;

	kms_ring_counters(header, &counters);
	if (counters.head == counters.tail &&
		!kms_tally_pending(kms_ring_tally(header)))
		return;
	ereport(LOG,
			(errmsg("kms: the server stops with %llu events of database %u in the event ring \"%s/%s\"%s",
					(unsigned long long) (counters.head - counters.tail),
					database_oid, DataDir, path,
					kms_tally_pending(kms_ring_tally(header)) ?
					", and counts of others" : ""),
			 errhint("They are written when it starts as a primary again. If another server takes over, save that file."),
			 KMS_HIDE_STATEMENT));
}
