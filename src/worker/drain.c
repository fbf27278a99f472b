#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/drain.h"

#include "pg/settings.h"
#include "pg/standby.h"
#include "pg/wait_event.h"
#include "pg/wal.h"
#include "shmem/retired_ring.h"
#include "shmem/session_ring.h"
#include "shmem/wait.h"
#include "store/epoch_table.h"
#include "store/link.h"
#include "store/outbox_table.h"
#include "store/quarantine_table.h"
#include "worker/clean_stop.h"
#include "worker/counts.h"

#define BATCH_SIZE 1000

#define STANDBY_POLL_MS	10		/* at most, for a synchronous standby */
#define COUNTS_PAUSE_MS	1000	/* between two that write counts */

static void drain_retired(KmsDrain *drain);
static int64 newest_epoch(KmsDrain *drain);
static bool compare(KmsDrain *drain, KmsRing *ring);
static bool write_ring(KmsDrain *drain, KmsRing *ring, uint64 upto);
static bool is_ahead(const KmsDrain *drain, const KmsRing *ring,
					 const KmsTrail *trail,
					 const KmsRingCounters *counters);
static int	read_batch(KmsDrain *drain, KmsRing *ring, KmsTrail *trail,
					   uint64 upto, uint64 *damaged);
static bool await_standby(KmsDrain *drain, uint64 written);
static bool write_counts(KmsDrain *drain, KmsRing *ring);
static bool is_waited_for(const KmsDrain *drain);
static bool must_look(const KmsDrain *drain);
static bool write_outbox(KmsDrain *drain);
static void succeed(KmsIntake *intake);
static bool may_pass(int sqlstate);
static bool must_break_off(const KmsDrain *drain);

void
kms_drain_begin(KmsDrain *drain, KmsWorker *worker)
{
	drain->worker = worker;
	drain->events = MemoryContextAllocHuge(TopMemoryContext,
										   BATCH_SIZE * sizeof(KmsEvent));
	drain->ring.limit = BATCH_SIZE;
	drain->outbox.limit = BATCH_SIZE;
}

void
kms_drain_round(KmsDrain *drain)
{
	KmsDatabase *database = drain->worker->database;
	KmsRing    *ring;
	KmsRingCounters counters;
	bool		done;

	ring = kms_session_ring_get();
	if (ring == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the event ring of this database cannot be made; the server log says why")));
	if (kms_ring_epoch(ring) != drain->epoch)
	{
		/* the ring was replaced, and the one before may hold events */
		drain->epoch = kms_ring_epoch(ring);
		drain->opened = false;
		drain->unconfirmed = 0;
		drain->retired_done = false;
		drain->upto = PG_UINT64_MAX;
	}
	if (!drain->retired_done)
		drain_retired(drain);
	if (drain->retired != NULL && must_break_off(drain))
	{
		drain->more = true;
		return;
	}
	if (!compare(drain, ring))
	{
		drain->more = true;
		return;
	}
	kms_wait_open_queue(database);
	kms_ring_counters(ring, &counters);

	/* a flush does not wait for what is recorded after it was requested */
	if (drain->upto == PG_UINT64_MAX ||
		pg_atomic_read_u64(&database->flush_done) >= drain->wanted)
	{
		drain->wanted = drain->seen;
		drain->upto = counters.head;
	}
	if (!drain->opened || counters.head != counters.tail)
		(void) write_ring(drain, ring, counters.head);
	drain->opened = true;
	kms_ring_counters(ring, &counters);
	done = counters.tail >= drain->upto;
	done = write_counts(drain, ring) && done;
	if (must_look(drain))
		done = write_outbox(drain) && done;
	else
		done = false;
	pgstat_report_stat(false);
	if (done)
		kms_drain_tell(drain, &database->flush_done, drain->wanted);
}

/*
 * Write what replaced rings hold, and delete them.  Each is handed over then.
 * The ring to which the trail was written last comes first, so that no other
 * ring seems to follow one that has more to come.
 */
static void
drain_retired(KmsDrain *drain)
{
	int64		newest = newest_epoch(drain);
	bool		unread = false;
	bool		removed = true;

	while (removed)
	{
		KmsRingCounters counters;

		/* one that an error has kept us from finishing comes first */
		if (drain->retired == NULL)
			drain->retired = kms_retired_ring_open(newest,
												   &drain->retired_intact,
												   &unread);
		if (drain->retired == NULL)
			break;

		(void) compare(drain, drain->retired);
		kms_ring_counters(drain->retired, &counters);
		while (!write_ring(drain, drain->retired, counters.head))
		{
			CHECK_FOR_INTERRUPTS();
			if (must_break_off(drain))
				return;
		}
		(void) write_counts(drain, drain->retired);
		if (drain->retired_intact)
			kms_drain_hand_over(drain, drain->retired);
		removed = kms_retired_ring_discard(drain->retired);
		drain->retired = NULL;
	}
	drain->retired_done = !unread;
}

static int64
newest_epoch(KmsDrain *drain)
{
	KmsEpochRow newest;

	kms_trail_writer_begin(&drain->writer, "looking where the trail ends");
	(void) kms_epoch_table_end(&newest, KMS_TICKET_LIMIT);
	kms_trail_writer_end(&drain->writer);
	return newest.epoch;
}

/*
 * Once after the server has started: see whether the ring file is older than
 * the tables, as a restored one is.  If so, all that it held is written
 * already, and what was recorded since then is lost: give the ring a new epoch
 * with a gap before it.  Return false if that has to be tried again.
 */
static bool
compare(KmsDrain *drain, KmsRing *ring)
{
	KmsTrail	trail;
	uint64		end;
	bool		older;
	bool		renewed;

	if (!kms_ring_unchecked(ring, &end))
		return true;

	drain->current = NULL;
	kms_trail_writer_begin(&drain->writer, "comparing the event ring with the trail");
	kms_trail_writer_open(&drain->writer, ring, ring == drain->retired, &trail);
	older = (uint64) trail.position > end;
	if (older)
	{
		char		context[128];

		snprintf(context, sizeof(context),
				 "ring file older than the trail: it ends at position "
				 UINT64_FORMAT ", the trail at " INT64_FORMAT,
				 end, trail.position);
		kms_event_table_gap(&trail, 0, context);
		kms_event_table_close(&trail);
	}
	kms_trail_writer_commit(&drain->writer, &trail);

	if (!older)
	{
		kms_ring_checked(ring);
		return true;
	}

	/* nobody records into a retired one */
	drain->writer.complete = trail.epoch;
	if (ring == drain->retired)
	{
		kms_ring_release(ring, end);
		kms_ring_checked(ring);
		return true;
	}
	renewed = kms_session_ring_renew();
	if (renewed)
	{
		drain->epoch = drain->renewed = kms_ring_epoch(ring);
		drain->upto = PG_UINT64_MAX;
	}
	return renewed;
}

/*
 * Write a batch of what is before position "upto"; return true if nothing of
 * it is left.
 */
static bool
write_ring(KmsDrain *drain, KmsRing *ring, uint64 upto)
{
	KmsRingCounters counters;
	KmsTrail	trail;
	KmsIntake  *intake = &drain->ring;
	uint64		damaged = 0;
	uint64		first;
	bool		moved = false;
	int			count;

	drain->current = intake;
	kms_trail_writer_begin(&drain->writer, "writing events of the ring");
	kms_trail_writer_open(&drain->writer, ring, ring == drain->retired, &trail);
	kms_ring_counters(ring, &counters);

	/* the tables were restored, or the epoch begins here */
	if ((uint64) trail.position < counters.tail)
	{
		char		context[128];

		snprintf(context, sizeof(context),
				 "ring positions " INT64_FORMAT " to " UINT64_FORMAT,
				 trail.position, counters.tail - 1);
		if (trail.epoch != drain->renewed && !drain->writer.told &&
			!drain->writer.keeper.restored)
			kms_event_table_gap(&trail, (int64) counters.tail - trail.position,
								context);
		trail.position = (int64) counters.tail;
		moved = true;
	}
	else if (is_ahead(drain, ring, &trail, &counters))
	{
		char		context[128];

		snprintf(context, sizeof(context),
				 "kms.event_epoch was changed: position " INT64_FORMAT
				 ", the ring is at " UINT64_FORMAT,
				 trail.position, counters.tail);
		kms_event_table_gap(&trail, 0, context);
		trail.position = (int64) counters.tail;
		moved = true;
	}

	first = (uint64) trail.position;
	count = read_batch(drain, ring, &trail, upto, &damaged);
	if (count > 0 && intake->quarantine)
		kms_quarantine_table_insert(&trail, &drain->events[0],
									sizeof(KmsEvent), intake->error);
	else if (count > 0)
		kms_event_table_append(&trail, drain->events, count);
	if (damaged > 0)
	{
		char		context[128];

		snprintf(context, sizeof(context),
				 UINT64_FORMAT " damaged entries from ring position "
				 UINT64_FORMAT, damaged, first);
		kms_event_table_gap(&trail, (int64) damaged, context);
	}
	if (moved || trail.resumed || (uint64) trail.position != first)
		kms_event_table_close(&trail);
	kms_trail_writer_commit(&drain->writer, &trail);
	drain->writer.told = false;
	kms_counters_add(&drain->worker->database->counters, KMS_COUNT_DAMAGED,
					 damaged);
	if (ring != drain->retired)
		drain->writer.last = trail;
	if (count > 0)
	{
		drain->wrote = true;
		succeed(intake);
	}

	/* the commit is flushed */
	kms_ring_counters(ring, &counters);
	if ((uint64) trail.position > counters.tail)
	{
		if (kms_audit_wait_for_standby && kms_audit == KMS_AUDIT_REQUIRED &&
			!await_standby(drain, (uint64) trail.position))
		{
			drain->more = true;
			return false;
		}
		kms_ring_release(ring, (uint64) trail.position);
		kms_ring_counters(ring, &counters);
		kms_wait_wake(drain->worker->database,
					  ring == drain->retired ||
					  counters.head == counters.tail);
	}
	if ((uint64) trail.position >= upto)
		return true;

	/* a full batch, or somebody is just filling an entry */
	if ((uint64) trail.position != first)
		drain->more = true;
	return false;
}

/*
 * When the ring is found, the tables can be ahead of it by what was not
 * released yet.  Later they cannot, and they are never further than the ring
 * goes.  If they are, kms.event_epoch was changed so that events are skipped.
 */
static bool
is_ahead(const KmsDrain *drain, const KmsRing *ring, const KmsTrail *trail,
		 const KmsRingCounters *counters)
{
	uint64		most = drain->opened && ring != drain->retired ?
	Max(counters->tail, drain->unconfirmed) : counters->head;

	return (uint64) trail->position > most;
}

/* Read at most a batch from trail->position on, and advance it. */
static int
read_batch(KmsDrain *drain, KmsRing *ring, KmsTrail *trail, uint64 upto,
		   uint64 *damaged)
{
	int			limit = drain->ring.quarantine ? 1 : drain->ring.limit;
	int			count = 0;

	while (count < limit && (uint64) trail->position < upto)
	{
		switch (kms_ring_read(ring, (uint64) trail->position,
							  &drain->events[count]))
		{
			case KMS_RING_EMPTY:
				return count;
			case KMS_RING_EVENT:
				count++;
				break;
			case KMS_RING_DAMAGED:
				(*damaged)++;
				break;
			case KMS_RING_ABANDONED:
				break;
		}
		trail->position++;
	}
	return count;
}

/*
 * Wait until a synchronous standby has the events that are written up to this
 * position; callers that wait for them are told only then.  Until then the
 * tables are ahead of the ring.  Return false if there is something else to do
 * first.
 *
 * Not SyncRepWaitForLSN, because it notices no reload, does not leave a
 * database that is to be dropped, and does not absorb barriers.
 */
static bool
await_standby(KmsDrain *drain, uint64 written)
{
	uint32		timeline;
	uint64		position;
	long		pause = 1;
	bool		confirmed = true;

	if (!kms_standby_awaited())
		return true;
	drain->unconfirmed = written;
	kms_wal_flushed(&timeline, &position);
	pgstat_report_activity(STATE_RUNNING, "waiting for a synchronous standby");
	while (confirmed && !kms_standby_has(position))
	{
		/* no caller is left to be told, and the mark follows the events */
		if (drain->stopping && kms_clean_stop_count_others(MyDatabaseId) == 0)
			break;
		if (must_break_off(drain))
			confirmed = false;
		CHECK_FOR_INTERRUPTS();
		if (confirmed)
			(void) WaitLatch(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 pause, kms_wait_event(KMS_WAIT_WRITER_STANDBY));
		ResetLatch(MyLatch);
		pause = Min(pause * 2, STANDBY_POLL_MS);
	}
	SetLatch(MyLatch);			/* it may have been set for the loop outside */
	pgstat_report_activity(STATE_IDLE, NULL);
	return confirmed;
}

/*
 * Write what was only counted, or lost, since the last time; return true if
 * nothing is left.
 */
static bool
write_counts(KmsDrain *drain, KmsRing *ring)
{
	KmsDatabase *database = drain->worker->database;
	bool		retired = ring == drain->retired;
	KmsTrail	trail;

	if (!kms_counts_pending(ring, database))
		return true;
	if (!retired && !is_waited_for(drain) &&
		kms_shared_pausing(TimestampTzPlusMilliseconds(drain->counted_at,
													   COUNTS_PAUSE_MS),
						   COUNTS_PAUSE_MS))
		return false;

	drain->current = NULL;
	kms_counts_write(&drain->writer, ring, retired, database, &trail);
	if (!retired)
		drain->writer.last = trail;
	drain->wrote = true;
	drain->counted_at = GetCurrentTimestamp();
	return true;
}

/* Return whether a caller waits for all that was recorded so far. */
static bool
is_waited_for(const KmsDrain *drain)
{
	return drain->stopping || drain->wanted !=
		pg_atomic_read_u64(&drain->worker->database->flush_done);
}

/*
 * Return whether to look into the outbox: at intervals, or when asked, but not
 * for each event for which a caller waits.
 */
static bool
must_look(const KmsDrain *drain)
{
	return drain->asked || is_waited_for(drain) ||
		!kms_shared_pausing(drain->looked_at + kms_event_flush_interval * INT64CONST(1000),
							kms_event_flush_interval);
}

/* Move a batch of the outbox; return true if nothing is left. */
static bool
write_outbox(KmsDrain *drain)
{
	KmsTrail	trail;
	KmsIntake  *intake = &drain->outbox;
	int			count;

	drain->current = intake;
	drain->looked_at = GetCurrentTimestamp();
	kms_trail_writer_begin(&drain->writer, "moving events of the outbox");
	kms_trail_writer_open(&drain->writer, kms_session_ring_get(), false, &trail);
	if (intake->quarantine)
		count = kms_outbox_table_quarantine(&trail, intake->error) ? 1 : 0;
	else
		count = kms_outbox_table_move(&trail, drain->events, intake->limit);
	if (count > 0)
		kms_event_table_close(&trail);
	kms_trail_writer_commit(&drain->writer, &trail);
	drain->writer.last = trail;
	if (!intake->quarantine)
		drain->moved = count;

	if (count > 0)
	{
		bool		full = intake->quarantine || count >= intake->limit;

		drain->wrote = true;
		succeed(intake);
		if (full)
			drain->more = true;
		else
			drain->asked = false;
		return !full;
	}
	intake->quarantine = false;
	drain->asked = false;
	return true;
}

static void
succeed(KmsIntake *intake)
{
	intake->quarantine = false;
	intake->limit = Min(BATCH_SIZE, intake->limit * 2);
}

void
kms_drain_hand_over(KmsDrain *drain, KmsRing *ring)
{
	bool		retired = ring == drain->retired;
	KmsTrail	trail;
	KmsTrail	current;

	kms_trail_writer_begin(&drain->writer, "handing the trail over");
	kms_trail_writer_open(&drain->writer, ring, retired, &trail);
	trail.handed_over = true;
	kms_event_table_close(&trail);
	if (retired)
		kms_event_table_open(&current, kms_ring_epoch(kms_session_ring_get()), 0, false,
							 kms_continuity_limit(&drain->writer.keeper));
	kms_trail_writer_commit(&drain->writer, &trail);
}

bool
kms_drain_blame(KmsDrain *drain, const KmsWorkerError *error)
{
	KmsIntake  *intake = drain->current;

	if (error->sqlstate == ERRCODE_UNIQUE_VIOLATION)
		drain->writer.skip = true;
	if (intake == NULL || may_pass(error->sqlstate))
		return false;
	if (intake->limit > 1)
		intake->limit /= 2;
	else if (!intake->quarantine)
	{
		const char *name = kms_worker_database();

		intake->quarantine = true;
		strlcpy(intake->error, error->message, sizeof(intake->error));
		ereport(LOG,
				(errmsg("kms writer of database \"%s\": an event is put into kms.event_quarantine: %s",
						name, error->message)));
	}
	else
		return false;
	return true;
}

/* Only errors that the content of a row can cause do not pass alone. */
static bool
may_pass(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_CARDINALITY_VIOLATION:
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION:
		case ERRCODE_WITH_CHECK_OPTION_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_EXTERNAL_ROUTINE_EXCEPTION:
		case ERRCODE_EXTERNAL_ROUTINE_INVOCATION_EXCEPTION:
		case ERRCODE_PLPGSQL_ERROR:
			return false;
		default:
			return true;
	}
}

void
kms_drain_tell(KmsDrain *drain, pg_atomic_uint64 *reached, uint64 wanted)
{
	if (pg_atomic_read_u64(reached) < wanted)
	{
		pg_atomic_write_u64(reached, wanted);
		ConditionVariableBroadcast(&drain->worker->database->flushed);
	}
}

bool
kms_drain_must_hurry(const KmsDrain *drain)
{
	return kms_clean_stop_requested() &&
		(!drain->stopping ||
		 !kms_shared_pausing(drain->stop_until, KMS_CLEAN_STOP_MOST_MS));
}

/* Return whether the loop of the process has something more urgent to do. */
static bool
must_break_off(const KmsDrain *drain)
{
	return ConfigReloadPending || kms_worker_must_leave(drain->worker) ||
		kms_drain_must_hurry(drain);
}
