/*
 * The writer: one process a database while there is something to write.
 *
 * A round writes a batch of the ring in one transaction and a batch of the
 * outbox in another: a row that cannot be inserted is looked for in the one
 * that it came from.  Each transaction moves the ring's row of
 * kms.event_epoch along with the events, so that nothing is written twice;
 * ring slots are released only after its commit is flushed.
 *
 * There is one writer a database: each transaction that writes takes a lock
 * of our own on the extension.  (A session lock would do once, but an abort
 * releases it, and the end of the process does not.)
 *
 * An error ends the round, not the process.  One that may pass (a lock, a
 * full disk, a cancel) is waited out.  One that a row can be the cause of
 * halves the batch, until one event is left; that is put into
 * kms.event_quarantine, and the rest goes on.
 *
 * Who waits for durability (kms_events_flush) is woken after a round that
 * began after his wish and left nothing to do.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "catalog/pg_extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/writer.h"

#include "pg/compat.h"
#include "pg/settings.h"
#include "shmem/events.h"
#include "store/trail.h"
#include "worker/worker.h"

#define BATCH_SIZE 1000

/* Failures in a row after which others that wait get the place. */
#define FAILURES_TO_YIELD 3

/* How much of a source is taken at once, after what it has failed with. */
typedef struct Source
{
	int			limit;
	bool		set_aside;		/* the next one alone cannot be written */
	char		error[KMS_ERROR_SIZE];	/* why */
} Source;

typedef struct Writer
{
	KmsWorker	worker;
	Oid			extension;
	bool		absent;			/* the extension is not there (any more) */
	bool		opened;			/* the ring's epoch has its row */
	KmsRing    *retired;		/* a replaced ring that is being drained */
	bool		retired_intact;
	bool		retired_done;	/* no replaced ring is left */
	int64		complete;		/* epoch of one that is known to be whole */
	KmsEvent   *events;			/* BATCH_SIZE */

	Source		ring;
	Source		outbox;
	Source	   *current;		/* the one at work, when an error ends it */
	bool		wrote;			/* this round has written something */
	bool		more;			/* and has left something */
} Writer;

static void one_round(void *arg);
static bool prepare(Writer *writer);
static void lock_trail(Writer *writer);
static void drain_retired(Writer *writer);
static bool write_ring(Writer *writer, KmsRing *ring, uint64 upto,
					   int64 complete);
static bool write_outbox(Writer *writer);
static int	read_batch(Writer *writer, KmsRing *ring, KmsTrail *trail,
					   uint64 upto, uint64 *damaged);
static void succeed(Source *source);
static void handle_error(Writer *writer, const KmsWorkerError *error);
static bool may_pass(int sqlstate);
static void finish_round(Writer *writer, uint64 wanted);
static bool has_nothing_left(Writer *writer);

void
kms_writer_main(Datum arg)
{
	static Writer writer;
	KmsWorker  *worker = &writer.worker;
	KmsWorkerState *state;
	TimestampTz started = GetCurrentTimestamp();
	TimestampTz last_work = started;

	kms_worker_start(worker, KMS_WRITER, "kms writer");
	state = &worker->database->worker[KMS_WRITER];
	writer.events = MemoryContextAllocHuge(TopMemoryContext,
										   BATCH_SIZE * sizeof(KmsEvent));
	writer.ring.limit = BATCH_SIZE;
	writer.outbox.limit = BATCH_SIZE;

	for (;;)
	{
		KmsWorkerError error;
		TimestampTz now;
		bool		waiting;
		long		pause = kms_event_flush_interval;

		ResetLatch(MyLatch);
		if (kms_worker_must_leave(worker))
			break;

		pg_atomic_write_u32(&state->requested, KMS_REQUEST_NONE);
		pg_memory_barrier();
		writer.wrote = false;
		writer.more = false;
		writer.current = NULL;
		if (kms_worker_try(one_round, &writer, &error))
			kms_worker_good(worker);
		else
		{
			handle_error(&writer, &error);
			pause = writer.more ? 0 :
				kms_worker_backoff(kms_worker_failures(worker));
		}
		if (writer.absent)
		{
			kms_worker_absent(worker);
			break;
		}

		now = GetCurrentTimestamp();
		if (writer.wrote || kms_worker_failures(worker) > 0)
			last_work = now;
		waiting = pg_atomic_read_u32(&kms_state->waiting) > 0;
		if (TimestampDifferenceExceeds(last_work, now, KMS_WORKER_IDLE_MS) &&
			has_nothing_left(&writer))
			break;
		if (waiting &&
			((kms_worker_failures(worker) == 0 && !writer.wrote) ||
			 kms_worker_failures(worker) >= FAILURES_TO_YIELD ||
			 TimestampDifferenceExceeds(started, now, KMS_WORKER_IDLE_MS)))
			break;

		if (!writer.more)
			(void) WaitLatch(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 pause, PG_WAIT_EXTENSION);
	}

	worker->leaving = true;
	proc_exit(0);
}

static void
one_round(void *arg)
{
	Writer	   *writer = arg;
	KmsRing    *ring;
	KmsRingCounters counters;
	uint64		wanted;
	bool		done = true;

	kms_worker_reload();
	wanted = pg_atomic_read_u64(&writer->worker.database->flush_wanted);
	pg_memory_barrier();

	if (!prepare(writer))
		return;
	ring = kms_events_ring();
	if (ring == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the event ring of this database cannot be made; the server log says why")));
	if (!writer->retired_done)
		drain_retired(writer);
	kms_ring_counters(ring, &counters);
	if (!writer->opened || counters.head != counters.tail)
		done = write_ring(writer, ring, counters.head, writer->complete);
	writer->opened = true;
	done = write_outbox(writer) && done;
	pgstat_report_stat(false);
	if (done)
		finish_round(writer, wanted);
}

/* Find the extension, map its ring. */
static bool
prepare(Writer *writer)
{
	Oid			extension;

	kms_worker_begin("looking for extension kms");
	extension = kms_worker_extension();
	if (!OidIsValid(extension) ||
		(OidIsValid(writer->extension) && extension != writer->extension))
		writer->absent = true;
	else
	{
		writer->extension = extension;
		kms_events_bind(extension);
	}
	kms_worker_commit();

	if (writer->absent)
		return false;
	kms_worker_present(&writer->worker);
	return true;
}

/* Sub-object 1: DROP EXTENSION locks sub-object 0. */
static void
lock_trail(Writer *writer)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId,
					   writer->extension, 1);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("another process writes the trail")));
}

/* Write what rings hold that were replaced, and delete them. */
static void
drain_retired(Writer *writer)
{
	for (;;)
	{
		KmsRingCounters counters;

		/* one that an error has kept us from finishing comes first */
		if (writer->retired == NULL)
			writer->retired = kms_events_retired(&writer->retired_intact);
		if (writer->retired == NULL)
			break;

		kms_ring_counters(writer->retired, &counters);
		while (!write_ring(writer, writer->retired, counters.head, 0))
			CHECK_FOR_INTERRUPTS();
		if (writer->retired_intact)
			writer->complete = kms_ring_epoch(writer->retired);
		kms_events_discard(writer->retired);
		writer->retired = NULL;
	}
	writer->retired_done = true;
}

/*
 * Write a batch of what is before position "upto"; true if nothing of it is
 * left.
 */
static bool
write_ring(Writer *writer, KmsRing *ring, uint64 upto, int64 complete)
{
	KmsRingCounters counters;
	KmsTrail	trail;
	Source	   *source = &writer->ring;
	uint64		damaged = 0;
	uint64		first;
	bool		moved = false;
	int			count;

	writer->current = source;
	kms_worker_begin("writing events of the ring");
	lock_trail(writer);
	kms_trail_open(&trail, kms_ring_epoch(ring), complete);
	kms_ring_counters(ring, &counters);

	/* the tables are the truth; they differ if they were put back */
	if ((uint64) trail.position < counters.tail)
	{
		char		context[128];

		snprintf(context, sizeof(context),
				 "ring positions " INT64_FORMAT " to " UINT64_FORMAT,
				 trail.position, counters.tail - 1);
		kms_trail_gap(&trail, context);
		trail.position = (int64) counters.tail;
		moved = true;
	}
	else if ((uint64) trail.position > counters.head)
	{
		trail.position = (int64) counters.tail;
		moved = true;
	}

	first = (uint64) trail.position;
	count = read_batch(writer, ring, &trail, upto, &damaged);
	if (count > 0 && source->set_aside)
		kms_trail_set_aside(&trail, &writer->events[0], source->error);
	else if (count > 0)
		kms_trail_append(&trail, writer->events, count);
	if (damaged > 0)
	{
		char		context[128];

		snprintf(context, sizeof(context),
				 UINT64_FORMAT " damaged entries from ring position "
				 UINT64_FORMAT, damaged, first);
		kms_trail_gap(&trail, context);
	}
	if (moved || (uint64) trail.position != first)
		kms_trail_close(&trail);
	kms_worker_commit();

	/* the commit is flushed */
	kms_ring_release(ring, (uint64) trail.position);
	if (count > 0)
	{
		writer->wrote = true;
		succeed(source);
	}
	if ((uint64) trail.position >= upto)
		return true;

	/* a full batch, or somebody is just filling an entry */
	if ((uint64) trail.position != first)
		writer->more = true;
	return false;
}

/* Read at most a batch from trail->position on, and move that along. */
static int
read_batch(Writer *writer, KmsRing *ring, KmsTrail *trail, uint64 upto,
		   uint64 *damaged)
{
	int			limit = writer->ring.set_aside ? 1 : writer->ring.limit;
	int			count = 0;

	while (count < limit && (uint64) trail->position < upto)
	{
		switch (kms_ring_read(ring, (uint64) trail->position,
							  &writer->events[count]))
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

/* Move a batch of the outbox; true if nothing is left. */
static bool
write_outbox(Writer *writer)
{
	KmsTrail	trail;
	Source	   *source = &writer->outbox;
	int			count;

	writer->current = source;
	kms_worker_begin("moving events of the outbox");
	lock_trail(writer);
	kms_trail_open(&trail, kms_ring_epoch(kms_events_ring()), 0);
	if (source->set_aside)
		count = kms_trail_set_aside_outbox(&trail, source->error) ? 1 : 0;
	else
		count = kms_trail_move_outbox(&trail, source->limit);
	if (count > 0)
		kms_trail_close(&trail);
	kms_worker_commit();

	if (count > 0)
	{
		bool		full = source->set_aside || count >= source->limit;

		writer->wrote = true;
		succeed(source);
		if (full)
			writer->more = true;
		return !full;
	}
	source->set_aside = false;
	return true;
}

static void
succeed(Source *source)
{
	source->set_aside = false;
	source->limit = Min(BATCH_SIZE, source->limit * 2);
}

static void
handle_error(Writer *writer, const KmsWorkerError *error)
{
	Source	   *source = writer->current;

	/* pg_cancel_backend: not a failure, and not a reason to wait */
	if (error->sqlstate == ERRCODE_QUERY_CANCELED)
	{
		writer->more = true;
		return;
	}

	if (source != NULL && !may_pass(error->sqlstate))
	{
		if (source->limit > 1)
		{
			source->limit /= 2;
			writer->more = true;
			return;
		}
		if (!source->set_aside)
		{
			source->set_aside = true;
			strlcpy(source->error, error->message, sizeof(source->error));
			writer->more = true;
			ereport(LOG,
					(errmsg("kms writer of database %u: an event is put into kms.event_quarantine: %s",
							MyDatabaseId, error->message)));
			return;
		}
	}
	kms_worker_failed(&writer->worker, error);
}

/* Only errors that the content of a row can cause do not pass by themselves. */
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

/* Wake those whose wish is fulfilled. */
static void
finish_round(Writer *writer, uint64 wanted)
{
	KmsDatabase *database = writer->worker.database;

	if (pg_atomic_read_u64(&database->flush_done) < wanted)
	{
		pg_atomic_write_u64(&database->flush_done, wanted);
		ConditionVariableBroadcast(&database->flushed);
	}
}

static bool
has_nothing_left(Writer *writer)
{
	KmsDatabase *database = writer->worker.database;
	KmsRing    *ring = kms_events_ring();
	KmsRingCounters counters;

	if (pg_atomic_read_u32(&database->worker[KMS_WRITER].requested) !=
		KMS_REQUEST_NONE)
		return false;
	if (pg_atomic_read_u64(&database->flush_wanted) !=
		pg_atomic_read_u64(&database->flush_done))
		return false;
	if (ring == NULL)
		return true;
	kms_ring_counters(ring, &counters);
	return counters.head == counters.tail;
}
