/*
 * Progress of long work.
 *
 * A process that begins an operation takes a slot, which it owns until the
 * operation ends.  Nobody else writes to the slot.
 *
 * - Taking and freeing a slot, and changing its phase or total, need the lock
 *   exclusively, which happens some times in an operation.
 * - Adding a step is a store to an atomic variable, without the lock.
 * - A reader has the lock shared, so phase, total and start belong together;
 *   and as "done" begins again with a phase, it never belongs to another one.
 *
 * If no slot is free, the work goes on and is not shown.
 *
 * A slot is freed
 *
 * - at the end of the operation;
 * - at an error, by the end of the (sub)transaction in which the operation
 *   began.  An operation that a worker begins outside of any transaction
 *   includes several transactions, and an error in one of them does not end
 *   it;
 * - at the exit of the process;
 * - after SIGKILL by nobody: the server builds shared memory again.
 *
 * One operation may call another: accepting a trail verifies it.  There is one
 * row a process, so the inner operation changes only the phase.  "levels" has
 * the transaction nesting level of each operation in progress, so that an
 * error ends those that it unwinds.
 *
 * NOTICEs are for a person who waits, so only sessions of clients send them:
 * each kms.progress_interval while steps are made, and when a phase begins
 * that long after the start or the last NOTICE.  A short call sends none.  The
 * clock is read only at each LOOK_STEPS-th step.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "shmem/progress.h"

#include "pg/fault.h"
#include "pg/settings.h"

#define DEPTH_MAX	8			/* operations in each other that are told
								 * apart */
#define LOOK_STEPS	64			/* between two looks at the clock */

static KmsProgress *progress = NULL;
static KmsProgressSlot *mine = NULL;	/* NULL also if none was free */
static KmsProgressRow now;		/* this process's own copy, for NOTICEs */
static int	levels[DEPTH_MAX];
static int	depth = 0;
static int64 until_look;
static TimestampTz told_at;		/* the last NOTICE, or the start */

static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId subid,
							  SubTransactionId parent, void *arg);
static void end_at_exit(int code, Datum arg);
static void unwind(int level);
static void take_slot(void);
static void free_slot(void);
static void publish(void);
static bool is_time_to_tell(void);
static void tell(void);

void
kms_progress_initialize(KmsProgress *slots, int tranche)
{
	int			i;

	LWLockInitialize(&slots->lock, tranche);
	for (i = 0; i < KMS_PROGRESS_SLOTS; i++)
		pg_atomic_init_u64(&slots->slots[i].done, 0);
}

void
kms_progress_attach(KmsProgress *slots)
{
	progress = slots;
	mine = NULL;
	depth = 0;
}

void
kms_progress_install(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

void
kms_progress_begin(const char *operation)
{
	if (depth < DEPTH_MAX)
		levels[depth] = GetCurrentTransactionNestLevel();
	if (depth++ > 0)
		return;
	memset(&now, 0, sizeof(now));
	now.pid = MyProcPid;
	now.database = MyDatabaseId;
	strlcpy(now.operation, operation, sizeof(now.operation));
	strlcpy(now.phase, "starting", sizeof(now.phase));
	now.total = KMS_PROGRESS_UNKNOWN;
	now.started_at = told_at = GetCurrentTimestamp();
	until_look = LOOK_STEPS;
	take_slot();
}

void
kms_progress_phase(const char *phase, int64 total)
{
	if (depth == 0 || strcmp(now.phase, phase) == 0)
		return;
	strlcpy(now.phase, phase, sizeof(now.phase));
	now.done = 0;
	now.total = total;
	publish();
	if (is_time_to_tell())
		tell();
}

void
kms_progress_expect(int64 total)
{
	if (depth == 0 || now.total == total)
		return;
	now.total = total;
	publish();
}

void
kms_progress_add(int64 steps)
{
	if (depth == 0)
		return;
	now.done += steps;
	if (mine != NULL)
		pg_atomic_write_u64(&mine->done, (uint64) now.done);
	until_look -= steps;
	if (until_look > 0)
		return;
	until_look = LOOK_STEPS;
	if (is_time_to_tell())
		tell();
}

int64
kms_progress_done(void)
{
	return depth == 0 ? 0 : now.done;
}

void
kms_progress_end(void)
{
	if (depth > 0 && --depth == 0)
		free_slot();
}

List *
kms_progress_read(void)
{
	List	   *rows = NIL;
	KmsProgressRow *copy = palloc(KMS_PROGRESS_SLOTS * sizeof(KmsProgressRow));
	int			count = 0;
	int			i;

	LWLockAcquire(&progress->lock, LW_SHARED);
	for (i = 0; i < KMS_PROGRESS_SLOTS; i++)
	{
		KmsProgressSlot *slot = &progress->slots[i];

		if (slot->row.pid == 0)
			continue;
		copy[count] = slot->row;
		copy[count++].done = (int64) pg_atomic_read_u64(&slot->done);
	}
	LWLockRelease(&progress->lock);
	for (i = 0; i < count; i++)
		rows = lappend(rows, &copy[i]);
	return rows;
}

static void
on_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT ||
		event == XACT_EVENT_PREPARE)
		unwind(1);
}

/* The level is still that of the subtransaction that ends. */
static void
on_subtransaction(SubXactEvent event, SubTransactionId subid,
				  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		unwind(GetCurrentTransactionNestLevel());
}

static void
end_at_exit(int code, Datum arg)
{
	depth = 0;
	free_slot();
}

/* End the operations that began at this nesting level or a deeper one. */
static void
unwind(int level)
{
	if (depth == 0)
		return;
	while (depth > 0 && (depth > DEPTH_MAX || levels[depth - 1] >= level))
		depth--;
	if (depth == 0)
		free_slot();
}

static void
take_slot(void)
{
	static bool registered = false;
	int			i;

	if (progress == NULL)
		return;
	if (!registered)
	{
		on_shmem_exit(end_at_exit, 0);
		registered = true;
	}
	LWLockAcquire(&progress->lock, LW_EXCLUSIVE);
	for (i = 0; i < KMS_PROGRESS_SLOTS && mine == NULL; i++)
	{
		if (progress->slots[i].row.pid == 0)
			mine = &progress->slots[i];
	}
	if (mine != NULL)
	{
		pg_atomic_write_u64(&mine->done, 0);
		mine->row = now;
	}
	LWLockRelease(&progress->lock);
}

static void
free_slot(void)
{
	if (mine == NULL)
		return;
	LWLockAcquire(&progress->lock, LW_EXCLUSIVE);
	mine->row.pid = 0;
	LWLockRelease(&progress->lock);
	mine = NULL;
}

static void
publish(void)
{
	if (mine == NULL)
		return;
	LWLockAcquire(&progress->lock, LW_EXCLUSIVE);
	pg_atomic_write_u64(&mine->done, (uint64) now.done);
	mine->row = now;
	LWLockRelease(&progress->lock);
}

static bool
is_time_to_tell(void)
{
	return MyBackendType == B_BACKEND && kms_progress_interval > 0 &&
		TimestampDifferenceExceeds(told_at, GetCurrentTimestamp(),
								   kms_progress_interval);
}

static void
tell(void)
{
	told_at = GetCurrentTimestamp();
	if (now.total == KMS_PROGRESS_UNKNOWN)
		ereport(NOTICE,
				(errmsg("%s: %s: " INT64_FORMAT " done after %ld s",
						now.operation, now.phase, now.done,
						TimestampDifferenceMilliseconds(now.started_at, told_at) / 1000),
				 KMS_HIDE_STATEMENT));
	else
		ereport(NOTICE,
				(errmsg("%s: %s: " INT64_FORMAT " of " INT64_FORMAT " done after %ld s",
						now.operation, now.phase, now.done, now.total,
						TimestampDifferenceMilliseconds(now.started_at, told_at) / 1000),
				 KMS_HIDE_STATEMENT));
}
