/*
 * The writer: one process a database while there is something to write.
 *
 * An error ends the round, not the process.  An error that may pass (a lock, a
 * full disk, a cancel) is waited out, however full the ring.  For an error
 * that a row can cause, see kms_drain_blame().
 *
 * A caller that waits for all that is recorded (kms_wait_flush) is woken
 * after a round that began after its request and has written what was in the
 * ring then, and all of the outbox, or that found no extension.  A caller that
 * waits for its own event (shmem/wait.c) is woken after the commit that wrote
 * it.  Notifications of changes (worker/notifier.c) come last, so that nobody
 * waits for them.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "worker/writer.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "pg/untriggered.h"
#include "pg/wait_event.h"
#include "shmem/session_ring.h"
#include "shmem/wait.h"
#include "worker/clean_stop.h"
#include "worker/drain.h"
#include "worker/notifier.h"
#include "worker/signer.h"
#include "worker/worker.h"

#define TURN_MS		50			/* the longest turn when callers wait */
#define PAUSE_FOR_OTHERS_MS	100 /* idle no longer when others wait */

/* Failures in a row after which others that wait get the place. */
#define FAILURES_TO_YIELD 3
#define LOCK_PAUSE_MS	1000	/* a table is locked: nothing is broken */
#define REQUIRED_PAUSE_MS 200	/* callers wait for their events */
#define LONGEST_PAUSE_MS 5000	/* because the ring fills up */

#define STOP_LOCK_TIMEOUT "100ms"	/* when the server is stopped */

typedef struct Writer
{
	KmsWorker	worker;
	KmsDrain	drain;
	KmsNotifier notifier;
	bool		absent;			/* the extension is not there (any more) */
	bool		replaced;		/* another extension is in its place */
	bool		handed_over;	/* nothing is left to do */
} Writer;

static void file_anchor(int code, Datum arg);
static void take_request(Writer *writer);
static void one_round(void *arg);
static bool prepare(Writer *writer);
static bool run_round(Writer *writer, long *pause);
static bool try_round(Writer *writer, KmsWorkerError *error);
static void handle_error(Writer *writer, const KmsWorkerError *error);
static long longest_pause(int failures, int sqlstate);
static bool has_nothing_left(Writer *writer);
static bool others_wait(const KmsWorker *worker);
static bool ends_turn(const Writer *writer, TimestampTz started,
					  TimestampTz now);
static long idle_pause(TimestampTz last_work, TimestampTz now, bool reserved,
					   bool waiting);
static void wait_out(const KmsWorker *worker, long pause);
static void hand_over(Writer *writer);
static bool has_all_written(const KmsDrain *drain);
static void mark_handed_over(void *arg);
static void nap(void);

void
kms_writer_main(Datum arg)
{
	KmsWorkerOrder order;

	kms_worker_order(&order);
	kms_writer_serve(&order, NULL);
}

void
kms_writer_serve(const KmsWorkerOrder *order, KmsReserved *reserved)
{
	static Writer writer;
	KmsWorker  *worker = &writer.worker;
	KmsDrain   *drain = &writer.drain;
	TimestampTz started;
	TimestampTz last_work;

	worker->reserved = reserved;
	kms_worker_start(worker, order);
	/* no rule or trigger of any role may delay the trail, or run for us */
	SetConfigOption("session_replication_role", "replica", PGC_SUSET,
					PGC_S_OVERRIDE);
	kms_untriggered_install();
	started = last_work = GetCurrentTimestamp();
	kms_drain_begin(drain, worker);
	before_shmem_exit(file_anchor, PointerGetDatum(&drain->writer.keeper));

	for (;;)
	{
		TimestampTz now;
		bool		waiting;
		bool		failing;
		long		pause = 0;

		ResetLatch(MyLatch);
		if (kms_clean_stop_requested())
		{
			hand_over(&writer);
			break;
		}
		if (kms_worker_must_leave(worker))
			break;

		failing = !run_round(&writer, &pause);
		if (writer.absent || writer.replaced || drain->writer.closing)
			kms_wait_end_all(worker->database);
		if (writer.absent)
		{
			kms_worker_absent(worker);
			kms_drain_tell(drain, &worker->database->flush_closed, drain->seen);
			break;
		}
		if (writer.replaced)
		{
			/* a new process begins without what this one remembers */
			kms_shared_request(worker->database, KMS_WRITER);
			break;
		}

		now = GetCurrentTimestamp();
		if (drain->wrote || kms_worker_failures(worker) > 0 ||
			last_work > now)	/* the clock was set back */
			last_work = now;
		started = Min(started, now);
		if (reserved == NULL &&
			TimestampDifferenceExceeds(last_work, now, KMS_WORKER_IDLE_MS) &&
			has_nothing_left(&writer))
			break;
		waiting = others_wait(worker);
		if (waiting && ends_turn(&writer, started, now))
			break;

		if (failing)
			wait_out(worker, pause);
		else if (!drain->more && !kms_clean_stop_requested())
			(void) WaitLatch(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 idle_pause(last_work, now, reserved != NULL,
										waiting),
							 kms_wait_event(KMS_WAIT_WRITER_IDLE));
	}

	if (!writer.absent && !writer.handed_over &&
		(drain->asked || !has_nothing_left(&writer)))
		kms_shared_request(worker->database, KMS_WRITER);
	kms_worker_end(worker);
}

static void
file_anchor(int code, Datum arg)
{
	kms_continuity_file((KmsKeeper *) DatumGetPointer(arg), code != 0);
}

/*
 * Run a round and what comes between two rounds.  Return false, with how long
 * to wait, if it failed and nothing can be tried at once.
 */
static bool
run_round(Writer *writer, long *pause)
{
	KmsWorker  *worker = &writer->worker;
	KmsDrain   *drain = &writer->drain;
	KmsWorkerError error;

	if (!try_round(writer, &error))
	{
		kms_trail_writer_blame_drop(&drain->writer, &error);
		handle_error(writer, &error);
		kms_wait_wake(worker->database, true);	/* it may be hopeless */
		*pause = longest_pause(kms_worker_failures(worker), error.sqlstate);
		return drain->more;
	}
	kms_worker_good(worker);
	if (!writer->absent && !writer->replaced)
	{
		kms_signer_sign(&drain->writer, worker->database);
		drain->more = drain->more || drain->writer.unsigned_left;
		kms_signer_accept(&drain->writer);
		kms_continuity_file(&drain->writer.keeper, false);
		kms_notifier_tell(&writer->notifier, drain->events, drain->moved);
	}
	return true;
}

/*
 * A cancel may end the round before it begins, so nothing may be left of the
 * round before.
 */
static bool
try_round(Writer *writer, KmsWorkerError *error)
{
	KmsDrain   *drain = &writer->drain;

	take_request(writer);
	drain->wrote = false;
	drain->moved = 0;
	drain->more = false;
	drain->current = NULL;
	drain->writer.unlocked = false;
	drain->writer.closing = false;
	return kms_worker_try(one_round, writer, error);
}

/* A request that comes from here on is one for the next round. */
static void
take_request(Writer *writer)
{
	KmsWorkerState *state = &writer->worker.database->worker[KMS_WRITER];

	if (pg_atomic_exchange_u32(&state->requested,
							   KMS_REQUEST_NONE) != KMS_REQUEST_NONE)
		writer->drain.asked = true;
}

static void
one_round(void *arg)
{
	Writer	   *writer = arg;
	KmsDrain   *drain = &writer->drain;

	kms_worker_reload();
	drain->seen = pg_atomic_read_u64(&writer->worker.database->flush_wanted);
	pg_memory_barrier();
	if (prepare(writer))
		kms_drain_round(drain);
}

/* Find the extension, and bind the session to its ring. */
static bool
prepare(Writer *writer)
{
	KmsTrailWriter *trail = &writer->drain.writer;
	Oid			extension;

	kms_worker_begin("looking for extension kms");
	extension = kms_worker_extension();
	writer->absent = !OidIsValid(extension);
	writer->replaced = !writer->absent && OidIsValid(trail->extension) &&
		extension != trail->extension;
	if (!writer->absent && !writer->replaced)
	{
		trail->extension = extension;
		kms_session_ring_bind(extension);
	}
	kms_worker_commit();

	if (writer->absent || writer->replaced)
		return false;
	writer->absent = !kms_worker_present(&writer->worker);	/* no place */
	return !writer->absent;
}

static void
handle_error(Writer *writer, const KmsWorkerError *error)
{
	KmsDrain   *drain = &writer->drain;

	/* pg_cancel_backend() is not a failure, and not a reason to wait */
	drain->more = error->sqlstate == ERRCODE_QUERY_CANCELED ||
		kms_drain_blame(drain, error);
	if (!drain->more)
		kms_worker_failed(&writer->worker, error);
}

/* With kms.audit = required callers wait for their events, not for long. */
static long
longest_pause(int failures, int sqlstate)
{
	long		pause = kms_worker_backoff(failures);

	if (sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
		pause = Min(pause, LOCK_PAUSE_MS);
	return Min(pause, kms_audit == KMS_AUDIT_REQUIRED ? REQUIRED_PAUSE_MS
			   : LONGEST_PAUSE_MS);
}

static bool
has_nothing_left(Writer *writer)
{
	KmsDatabase *database = writer->worker.database;

	if (pg_atomic_read_u32(&database->worker[KMS_WRITER].requested) !=
		KMS_REQUEST_NONE)
		return false;
	if (pg_atomic_read_u64(&database->flush_wanted) !=
		pg_atomic_read_u64(&database->flush_done))
		return false;
	return !kms_session_ring_pending() &&
		!kms_notifier_pending(&writer->notifier);
}

/* Maintenance has no use for the place of a reserved writer. */
static bool
others_wait(const KmsWorker *worker)
{
	return pg_atomic_read_u32(worker->reserved != NULL ? &kms_shared->writers_waiting
							  : &kms_shared->waiting) > 0;
}

/*
 * Return whether to leave the place to others.  A turn is short only if
 * callers wait for one of them, because each turn starts a process.
 */
static bool
ends_turn(const Writer *writer, TimestampTz started, TimestampTz now)
{
	int			failures = kms_worker_failures(&writer->worker);

	if (pg_atomic_read_u32(&kms_shared->callers_waiting) > 0)
		return !writer->drain.more ||
			TimestampDifferenceExceeds(started, now, TURN_MS);
	return (failures == 0 && !writer->drain.wrote) ||
		failures >= FAILURES_TO_YIELD ||
		TimestampDifferenceExceeds(started, now, KMS_WORKER_IDLE_MS);
}

/*
 * Return how long to wait for the next look for events, or until the process
 * has been idle for long enough.  The launcher wakes it if callers of other
 * databases wait.
 */
static long
idle_pause(TimestampTz last_work, TimestampTz now, bool reserved,
		   bool waiting)
{
	long		left = KMS_WORKER_IDLE_MS -
	TimestampDifferenceMilliseconds(last_work, now);
	long		pause = Min(kms_event_flush_interval, KMS_WORKER_IDLE_MS);

	if (left > 0 && !reserved)
		pause = Min(pause, left);
	if (waiting)
		pause = Min(pause, PAUSE_FOR_OTHERS_MS);
	return pause;
}

/* Neither a ring that fills up nor a waiting flush ends this. */
static void
wait_out(const KmsWorker *worker, long pause)
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													pause);

	while (kms_shared_pausing(until, pause) && !InterruptPending &&
		   !kms_clean_stop_requested() &&
		   !ConfigReloadPending && !kms_worker_must_leave(worker))
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														 until) + 1,
						 kms_wait_event(KMS_WAIT_WRITER_PAUSE));
		ResetLatch(MyLatch);
	}
}

/*
 * The server is being stopped, and the server that takes over has only the
 * tables: write what the last sessions record, and then say that nothing
 * follows.  Nothing of this may delay the stop: sessions delay it themselves,
 * and once they are gone a round that fails is the last.
 */
static void
hand_over(Writer *writer)
{
	KmsDrain   *drain = &writer->drain;
	KmsWorkerError error = {0};
	int			others;
	bool		again = true;

	if (!kms_clean_stop_of_server())
		kms_clean_stop_end();
	SetConfigOption("lock_timeout", STOP_LOCK_TIMEOUT, PGC_SUSET,
					PGC_S_OVERRIDE);
	drain->stopping = true;
	drain->stop_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													KMS_CLEAN_STOP_MOST_MS);
	strlcpy(error.message, "not all of its events could be written",
			sizeof(error.message));
	while (again && !kms_drain_must_hurry(drain))
	{
		bool		good;

		others = kms_clean_stop_count_others(MyDatabaseId);
		good = try_round(writer, &error);
		if (writer->absent || writer->replaced)
			return;
		if (!good)
			handle_error(writer, &error);
		if (others == 0 && has_all_written(drain))
		{
			if (kms_worker_try(mark_handed_over, drain, &error))
			{
				LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
				writer->worker.database->handed_over = true;
				LWLockRelease(&kms_shared->lock);
				writer->handed_over = true;
				error.message[0] = '\0';
			}
			break;
		}
		again = others > 0 || drain->more || (good && drain->wrote);
		if (again && !drain->wrote)
			nap();
	}
	kms_continuity_file(&drain->writer.keeper, true);
	if (error.message[0] != '\0')
	{
		const char *name = kms_worker_database();

		ereport(LOG,
				(errmsg("kms writer of database \"%s\": the trail is not handed over: %s",
						name, error.message),
				 errhint("A server that takes over records a gap in the trail."),
				 KMS_HIDE_STATEMENT));
	}
}

/* The outbox is a table, so the server that takes over moves it. */
static bool
has_all_written(const KmsDrain *drain)
{
	return drain->opened && drain->retired_done &&
		kms_session_ring_get() != NULL && !kms_session_ring_pending();
}

static void
mark_handed_over(void *arg)
{
	kms_drain_hand_over(arg, kms_session_ring_get());
}

static void
nap(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 KMS_CLEAN_STOP_POLL_MS, kms_wait_event(KMS_WAIT_WRITER_STOP));
	ResetLatch(MyLatch);
}
