/*
 * Waits for the event writer.  "Waiting until an event is durable" in
 * docs/design/ring.md describes how callers and the writer meet.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/timestamp.h"

#include "shmem/wait.h"

#include "pg/compat.h"
#include "pg/settings.h"
#include "pg/standby.h"
#include "pg/wait_event.h"
#include "shmem/session_ring.h"
#include "shmem/shared.h"

#define SLICE_MS			100
#define LAUNCHER_PATIENCE_MS	1000	/* for a launcher to start */
#define FLUSH_SLICE_MS		200
#define FLUSH_PATIENCE_MS	10000	/* for a writer that makes no progress */

/* A wait for an event to be durable, or for room in the ring. */
typedef struct Wait
{
	KmsDatabase *database;
	instr_time	start;
	uint32		closings;
	ConditionVariable *queue;
	KmsWaitEvent event;
} Wait;

/* The values that show whether a writer makes progress. */
typedef struct Progress
{
	TimestampTz heartbeat;
	uint64		tail;			/* of the ring */
	uint64		flushed;
	instr_time	since;			/* when these values were first seen */
} Progress;

static void begin_wait(Wait *wait, instr_time since, KmsWaitEvent event);
static void join_open_queue(Wait *wait);
static KmsAudited sleep_a_slice(Wait *wait);
static KmsAudited sleep_or_give_up(Wait *wait, const KmsEvent *event,
								   KmsPush pushed);
static bool is_out_of_debt(void);
static KmsAudited wait_for_writer(bool (*is_done) (void));
static bool may_be_written(KmsDatabase *database);
static bool is_hopeless(KmsDatabase *database, TimestampTz since);
static void look_for_progress(KmsDatabase *database, Progress *progress);
static long next_slice(instr_time start, long limit_ms, long longest_ms);
static long elapsed_ms(instr_time start);
static void wake_writer(KmsDatabase *database);

KmsAudited
kms_wait_outlook(void)
{
	KmsDatabase *database;
	KmsAudited	outlook = KMS_AUDITED;

	if (RecoveryInProgress())
		return KMS_UNAUDITED_STANDBY;
	database = kms_shared_database();
	if (database == NULL)
		return KMS_UNAUDITED_NO_WRITER;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	if (kms_shared_pausing(database->closed_until, KMS_DROP_CLOSED_MS))
		outlook = KMS_UNAUDITED_CLOSED;
	else if (!kms_shared->launcher_came &&
			 TimestampDifferenceExceeds(kms_shared->made_at, GetCurrentTimestamp(),
										LAUNCHER_PATIENCE_MS))
		outlook = KMS_UNAUDITED_NO_LAUNCHER;
	else if (database->worker[KMS_WRITER].hopeless)
		outlook = KMS_UNAUDITED_NO_WRITER;
	LWLockRelease(&kms_shared->lock);
	if (outlook == KMS_AUDITED && kms_audit_wait_for_standby &&
		kms_audit == KMS_AUDIT_REQUIRED && !kms_standby_named())
		outlook = KMS_UNAUDITED_ALONE;
	if (outlook == KMS_AUDITED && !kms_session_ring_available())
		outlook = KMS_UNAUDITED_NO_RING;

	/*
	 * A refused call records no event that would start a writer, so request
	 * one.
	 */
	if (outlook == KMS_UNAUDITED_NO_WRITER)
		kms_shared_request(database, KMS_WRITER);
	return outlook;
}

void
kms_wait_for_debt(void)
{
	if (kms_events_in_debt() && !RecoveryInProgress())
		(void) wait_for_writer(is_out_of_debt);
}

KmsAudited
kms_wait_claim(bool *waited)
{
	*waited = false;
	if (kms_events_claim())
		return KMS_AUDITED;
	*waited = true;
	return wait_for_writer(kms_events_claim);
}

KmsAudited
kms_wait_submit(const KmsEvent *event, KmsEventClass class,
				KmsPromise *promise)
{
	KmsAudited	audited = KMS_AUDITED;
	KmsPush		pushed;
	Wait		wait;

	promise->pending = false;
	INSTR_TIME_SET_CURRENT(promise->since);
	if (RecoveryInProgress())
		return KMS_UNAUDITED_STANDBY;
	pushed = kms_events_try(event, class, &promise->receipt);
	if (pushed == KMS_PUSH_NO_RING && class != KMS_CLASS_REFUSED)
		audited = KMS_UNAUDITED_NO_RING;
	else if (pushed != KMS_PUSH_DONE && class != KMS_CLASS_REFUSED)
	{
		begin_wait(&wait, promise->since, KMS_WAIT_ROOM);
		while (audited == KMS_AUDITED)
		{
			pushed = kms_events_try(event, class, &promise->receipt);
			if (pushed == KMS_PUSH_DONE)
				break;
			audited = sleep_or_give_up(&wait, event, pushed);
		}
		ConditionVariableCancelSleep();
	}
	if (pushed != KMS_PUSH_DONE)
		kms_events_give_up(event, pushed);
	promise->pending = pushed == KMS_PUSH_DONE;
	return audited;
}

KmsAudited
kms_wait_durable(const KmsPromise *promise)
{
	KmsAudited	audited = KMS_AUDITED;
	KmsFate		fate;
	Wait		wait;

	begin_wait(&wait, promise->since, KMS_WAIT_DURABLE);
	while ((fate = kms_events_fate(&promise->receipt)) == KMS_FATE_PENDING)
	{
		/* Check once more after the last slice. */
		if (audited != KMS_AUDITED)
			break;
		audited = sleep_a_slice(&wait);
	}
	ConditionVariableCancelSleep();
	if (fate == KMS_FATE_DURABLE)
		return KMS_AUDITED;
	return fate == KMS_FATE_UNKNOWN ? KMS_UNAUDITED_CLOSED : audited;
}

void
kms_wait_wake(KmsDatabase *database, bool all)
{
	uint32		open = pg_atomic_read_u32(&database->durable_open);

	ConditionVariableBroadcast(&database->durable[1 - open]);
	if (all)
		ConditionVariableBroadcast(&database->durable[open]);
}

void
kms_wait_open_queue(KmsDatabase *database)
{
	uint32		open = pg_atomic_read_u32(&database->durable_open);

	pg_atomic_write_u32(&database->durable_open, 1 - open);
	pg_memory_barrier();
}

void
kms_wait_end_all(KmsDatabase *database)
{
	pg_atomic_fetch_add_u32(&database->closings, 1);
	kms_wait_wake(database, true);
}

bool
kms_wait_flush(long timeout_ms)
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
		long		slice;

		if (pg_atomic_read_u64(&database->flush_closed) >= mine)
			break;
		if (pg_atomic_read_u64(&database->flush_done) >= mine)
		{
			done = true;
			break;
		}
		slice = next_slice(since, timeout_ms, FLUSH_SLICE_MS);
		if (slice <= 0)
			break;
		if (elapsed_ms(since) >= LAUNCHER_PATIENCE_MS &&
			!may_be_written(database))
			break;
		if (is_hopeless(database, start))
			break;
		look_for_progress(database, &progress);
		if (elapsed_ms(progress.since) >= FLUSH_PATIENCE_MS)
			break;

		kms_shared_request(database, KMS_WRITER);
		(void) kms_shared_wake(database, KMS_WRITER);
		(void) ConditionVariableTimedSleep(&database->flushed, slice,
										   kms_wait_event(KMS_WAIT_FLUSH));
	}
	ConditionVariableCancelSleep();
	return done;
}

char *
kms_wait_obstacle(void)
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

static void
begin_wait(Wait *wait, instr_time since, KmsWaitEvent event)
{
	wait->event = event;
	wait->database = kms_shared_database();
	wait->start = since;
	if (wait->database == NULL)
		return;
	wait->closings = pg_atomic_read_u32(&wait->database->closings);
	join_open_queue(wait);
}

/* Join before the condition is checked, so that no broadcast is missed. */
static void
join_open_queue(Wait *wait)
{
	uint32		open = pg_atomic_read_u32(&wait->database->durable_open);

	wait->queue = &wait->database->durable[open];
	ConditionVariablePrepareToSleep(wait->queue);
}

/*
 * Sleep until something may have changed.  If the result is not KMS_AUDITED,
 * the wait ends.
 */
static KmsAudited
sleep_a_slice(Wait *wait)
{
	KmsAudited	outlook = kms_wait_outlook();
	long		slice;

	if (outlook != KMS_AUDITED)
		return outlook;
	if (wait->database == NULL)
		return KMS_UNAUDITED_NO_WRITER;
	if (pg_atomic_read_u32(&wait->database->closings) != wait->closings)
		return KMS_UNAUDITED_CLOSED;
	slice = next_slice(wait->start, kms_audit_timeout, SLICE_MS);
	if (slice <= 0)
		return KMS_UNAUDITED_LATE;

	wake_writer(wait->database);
	(void) ConditionVariableTimedSleep(wait->queue, slice,
									   kms_wait_event(wait->event));
	join_open_queue(wait);
	return KMS_AUDITED;
}

/*
 * Sleep a slice for an event that is not in the ring yet.  If that is
 * cancelled, count the event.
 */
static KmsAudited
sleep_or_give_up(Wait *wait, const KmsEvent *event, KmsPush pushed)
{
	KmsAudited	audited;

	PG_TRY();
	{
		audited = sleep_a_slice(wait);
	}
	PG_CATCH();
	{
		kms_events_give_up(event, pushed);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return audited;
}

static bool
is_out_of_debt(void)
{
	return !kms_events_in_debt();
}

/*
 * Wait until "is_done" returns true as the writer empties the ring, at most
 * for kms.audit_timeout.  If no slot was released in all that time, note that,
 * so that in best_effort no other call waits for a stalled writer.
 */
static KmsAudited
wait_for_writer(bool (*is_done) (void))
{
	KmsDatabase *database = kms_shared_database();
	KmsRingCounters counters;
	uint64		tail = 0;
	int64		epoch;
	KmsAudited	audited = KMS_AUDITED;
	instr_time	moved;			/* when the tail was last seen to move */
	Wait		wait;

	INSTR_TIME_SET_CURRENT(moved);
	begin_wait(&wait, moved, KMS_WAIT_ROOM);
	while (audited == KMS_AUDITED && !is_done())
	{
		if (!kms_session_ring_counters(&counters, &epoch) ||
			(kms_audit == KMS_AUDIT_BEST_EFFORT &&
			 pg_atomic_read_u64(&database->ring_stalled) == counters.tail + 1))
		{
			audited = KMS_UNAUDITED_LATE;
			break;
		}
		if (counters.tail != tail)
			INSTR_TIME_SET_CURRENT(moved);
		tail = counters.tail;
		audited = sleep_a_slice(&wait);
		if (audited == KMS_UNAUDITED_LATE &&
			elapsed_ms(moved) >= kms_audit_timeout)
			pg_atomic_write_u64(&database->ring_stalled, tail + 1);
	}
	ConditionVariableCancelSleep();
	return audited;
}

/* Return false if there is no launcher, or no slot for a writer. */
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

/*
 * Return true if a round after "since" has failed with an error that is not
 * temporary.
 */
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
	KmsRing    *ring = kms_session_ring_get();
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

/*
 * Return how long to sleep now, in ms; 0 or less if the time limit is over.  A
 * limit of -1 means none.
 */
static long
next_slice(instr_time start, long limit_ms, long longest_ms)
{
	return limit_ms < 0 ? longest_ms
		: Min(longest_ms, limit_ms - elapsed_ms(start));
}

static long
elapsed_ms(instr_time start)
{
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, start);
	return (long) INSTR_TIME_GET_MILLISEC(elapsed);
}

static void
wake_writer(KmsDatabase *database)
{
	if (!kms_shared_wake(database, KMS_WRITER))
		kms_shared_request(database, KMS_WRITER);
}
