/*
 * kms.audit = required: no result leaves before its event is durable.
 *
 * An event is durable when the writer has released its slot, which it does
 * after the commit that wrote it is flushed.  So a caller pushes, wakes the
 * writer and sleeps on database->durable, which the writer broadcasts after
 * each such commit: whoever came meanwhile shares the next one (group
 * commit).
 *
 * To wake only those it has served, the writer has them stand in two lanes.
 * Who begins to wait, or has to wait on, goes to the open one.  A round opens
 * the other before it looks how far the ring is filled, so whoever stands in
 * the lane that it closed has his event in this round, and its commit wakes
 * that lane.  An event of this round may have its caller in the new lane; the
 * next round serves him, or this one does if it leaves nothing in the ring.
 *
 * He sleeps in slices with interrupts on and asks for a writer before each:
 * one that ended is started again.  After kms.audit_timeout he gives up, and
 * at once where it is known that nobody will write: the server is a standby,
 * there is no ring and none can be made (no room on the disk, say),
 * no launcher ever came, the launcher finds no slot for a writer or the
 * writer no table (worker->hopeless, which the next good round clears), a
 * writer has found the extension dropped or about to be since he began to
 * wait (database->closings), the database is being dropped, his ring has been
 * replaced.  A table that is locked, also by his own transaction, and a full
 * disk pass, so they are waited for.
 *
 * No lock is held meanwhile but those of the transaction; the writer wants
 * none of them unless the transaction has locked its tables.  A process that
 * is killed leaves nothing behind; a crash of the server ends all waits.  An
 * event whose caller gave up stays in the ring and is written later: the
 * trail may tell of a result that nobody saw.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/timestamp.h"

#include "shmem/durable.h"

#include "pg/compat.h"
#include "pg/settings.h"
#include "pg/standby.h"

#define SLICE_MS			100
#define LAUNCHER_PATIENCE_MS	1000	/* after the start of the server */

typedef struct Wait
{
	KmsDatabase *database;
	instr_time	start;
	uint32		closings;
	ConditionVariable *lane;
} Wait;

static void begin(Wait *wait, instr_time since);
static void line_up(Wait *wait);
static KmsAudited nap(Wait *wait);
static KmsAudited nap_or_give_up(Wait *wait, const KmsEvent *event,
								 KmsPush pushed);
static bool is_out_of_debt(void);
static KmsAudited wait_for_writer(bool (*is_done) (void));
static long elapsed_ms(instr_time start);
static void wake_writer(KmsDatabase *database);

KmsAudited
kms_durable_outlook(void)
{
	KmsDatabase *database;
	KmsAudited	outlook = KMS_AUDITED;

	if (RecoveryInProgress())
		return KMS_AUDIT_STANDBY;
	database = kms_shared_database();
	if (database == NULL)
		return KMS_AUDIT_NO_WRITER;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	if (kms_shared_pausing(database->closed_until, KMS_DROP_CLOSED_MS))
		outlook = KMS_AUDIT_CLOSED;
	else if (!kms_shared->launcher_came &&
			 TimestampDifferenceExceeds(kms_shared->made_at, GetCurrentTimestamp(),
										LAUNCHER_PATIENCE_MS))
		outlook = KMS_AUDIT_NO_LAUNCHER;
	else if (database->worker[KMS_WRITER].hopeless)
		outlook = KMS_AUDIT_NO_WRITER;
	LWLockRelease(&kms_shared->lock);
	if (outlook == KMS_AUDITED && kms_audit_wait_for_standby &&
		kms_audit == KMS_AUDIT_REQUIRED && !kms_standby_named())
		outlook = KMS_AUDIT_ALONE;
	if (outlook == KMS_AUDITED && !kms_events_have_ring())
		outlook = KMS_AUDIT_NO_RING;

	/* who is refused records nothing for which one would be started */
	if (outlook == KMS_AUDIT_NO_WRITER)
		kms_shared_request(database, KMS_WRITER);
	return outlook;
}

void
kms_durable_pay(void)
{
	if (kms_events_in_debt() && !RecoveryInProgress())
		(void) wait_for_writer(is_out_of_debt);
}

KmsAudited
kms_durable_claim(bool *waited)
{
	*waited = false;
	if (kms_events_claim())
		return KMS_AUDITED;
	*waited = true;
	return wait_for_writer(kms_events_claim);
}

KmsAudited
kms_durable_submit(const KmsEvent *event, KmsEventClass class,
				   KmsPromise *promise)
{
	KmsAudited	audited = KMS_AUDITED;
	KmsPush		pushed;
	Wait		wait;

	promise->pending = false;
	INSTR_TIME_SET_CURRENT(promise->since);
	if (RecoveryInProgress())
		return KMS_AUDIT_STANDBY;
	pushed = kms_events_try(event, class, &promise->receipt);
	if (pushed == KMS_PUSH_NO_RING && class != KMS_CLASS_REFUSED)
		audited = KMS_AUDIT_NO_RING;
	else if (pushed != KMS_PUSH_DONE && class != KMS_CLASS_REFUSED)
	{
		begin(&wait, promise->since);
		while (audited == KMS_AUDITED)
		{
			pushed = kms_events_try(event, class, &promise->receipt);
			if (pushed == KMS_PUSH_DONE)
				break;
			audited = nap_or_give_up(&wait, event, pushed);
		}
		ConditionVariableCancelSleep();
	}
	if (pushed != KMS_PUSH_DONE)
		kms_events_give_up(event, pushed);
	promise->pending = pushed == KMS_PUSH_DONE;
	return audited;
}

KmsAudited
kms_durable_await(const KmsPromise *promise)
{
	KmsAudited	audited = KMS_AUDITED;
	KmsFate		fate;
	Wait		wait;

	begin(&wait, promise->since);
	while ((fate = kms_events_fate(&promise->receipt)) == KMS_FATE_PENDING)
	{
		/* after the last nap it is looked at once more */
		if (audited != KMS_AUDITED)
			break;
		audited = nap(&wait);
	}
	ConditionVariableCancelSleep();
	if (fate == KMS_FATE_DURABLE)
		return KMS_AUDITED;
	return fate == KMS_FATE_UNKNOWN ? KMS_AUDIT_CLOSED : audited;
}

void
kms_durable_tell(KmsDatabase *database, bool all)
{
	uint32		open = pg_atomic_read_u32(&database->durable_open);

	ConditionVariableBroadcast(&database->durable[1 - open]);
	if (all)
		ConditionVariableBroadcast(&database->durable[open]);
}

void
kms_durable_turn(KmsDatabase *database)
{
	uint32		open = pg_atomic_read_u32(&database->durable_open);

	pg_atomic_write_u32(&database->durable_open, 1 - open);
	pg_memory_barrier();
}

void
kms_durable_close(KmsDatabase *database)
{
	pg_atomic_fetch_add_u32(&database->closings, 1);
	kms_durable_tell(database, true);
}

static void
begin(Wait *wait, instr_time since)
{
	wait->database = kms_shared_database();
	wait->start = since;
	if (wait->database == NULL)
		return;
	wait->closings = pg_atomic_read_u32(&wait->database->closings);
	line_up(wait);
}

/* Before the condition is looked at, so that no broadcast is missed. */
static void
line_up(Wait *wait)
{
	uint32		open = pg_atomic_read_u32(&wait->database->durable_open);

	wait->lane = &wait->database->durable[open];
	ConditionVariablePrepareToSleep(wait->lane);
}

/* Sleep until something may have changed; not KMS_AUDITED ends the wait. */
static KmsAudited
nap(Wait *wait)
{
	KmsAudited	outlook = kms_durable_outlook();
	long		left;

	if (outlook != KMS_AUDITED)
		return outlook;
	if (wait->database == NULL)
		return KMS_AUDIT_NO_WRITER;
	if (pg_atomic_read_u32(&wait->database->closings) != wait->closings)
		return KMS_AUDIT_CLOSED;
	left = kms_audit_timeout - elapsed_ms(wait->start);
	if (left <= 0)
		return KMS_AUDIT_LATE;

	wake_writer(wait->database);
	(void) ConditionVariableTimedSleep(wait->lane, Min(left, SLICE_MS),
									   PG_WAIT_EXTENSION);
	line_up(wait);
	return KMS_AUDITED;
}

/* A cancel gives up an event that has no place yet. */
static KmsAudited
nap_or_give_up(Wait *wait, const KmsEvent *event, KmsPush pushed)
{
	KmsAudited	audited;

	PG_TRY();
	{
		audited = nap(wait);
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
 * Wait until "is_done" as the writer empties the ring, at most for
 * kms.audit_timeout.  A whole time without a release is noted, so that in
 * best_effort nobody else waits for a writer that stands still.
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
	begin(&wait, moved);
	while (audited == KMS_AUDITED && !is_done())
	{
		if (!kms_events_counters(&counters, &epoch) ||
			(kms_audit == KMS_AUDIT_BEST_EFFORT &&
			 pg_atomic_read_u64(&database->ring_stalled) == counters.tail + 1))
		{
			audited = KMS_AUDIT_LATE;
			break;
		}
		if (counters.tail != tail)
			INSTR_TIME_SET_CURRENT(moved);
		tail = counters.tail;
		audited = nap(&wait);
		if (audited == KMS_AUDIT_LATE &&
			elapsed_ms(moved) >= kms_audit_timeout)
			pg_atomic_write_u64(&database->ring_stalled, tail + 1);
	}
	ConditionVariableCancelSleep();
	return audited;
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
