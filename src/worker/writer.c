/*
 * The writer: one process a database while there is something to write.
 *
 * A round writes a batch of the ring in one transaction and a batch of the
 * outbox in another: a row that cannot be inserted is looked for in the one
 * that it came from.  Each transaction moves the ring's row of
 * kms.event_epoch along with the events, so that nothing is written twice;
 * ring slots are released only after its commit is flushed.
 *
 * A ring file that was put back is older than the tables: what it held when
 * the server found it is written already, what was recorded since is not.  So
 * the first writer after a start compares the two, and gives such a ring a new
 * epoch, with a gap in the trail for what the file may have lost.
 *
 * What a ring had no room for is counted in it (shmem/tally.h).  A third
 * transaction writes what has been counted since the last one, at most each
 * second unless somebody waits: a row for each operation, status and reason,
 * and a gap for what was lost.
 *
 * There is one writer a database: each transaction that writes takes a lock
 * of our own on the extension, which no command takes.  (A session lock would
 * do once, but an abort releases it, and the end of the process does not.)
 *
 * Nothing else that it waits for can be kept by a role without rights on its
 * tables.  The lock of the extension itself can: ALTER FUNCTION … DEPENDS ON
 * EXTENSION takes it, also in a transaction that is prepared.  So the writer
 * tries it once, and works without it.  What orders it against DROP EXTENSION
 * then are the locks of the tables: before each commit, while it holds some, it
 * looks whether the extension is still the one that it writes for.  If so, one
 * that drops it has to wait for a table until the commit.
 *
 * An error ends the round, not the process.  One that may pass (a lock, a
 * full disk, a cancel) is waited out, however full the ring.  One that a row
 * can be the cause of halves the batch, until one event is left; that is put
 * into kms.event_quarantine, and the rest goes on.
 *
 * Who waits for all that is recorded (kms_wait_flush) is woken after a round
 * that began after his wish and has written what was in the ring when one saw
 * it first, and all of the outbox, or found no extension; who
 * waits for his own event (shmem/wait.c), after the commit that wrote it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/writer.h"

#include "keys/sign.h"
#include "keys/continuity.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/lock.h"
#include "pg/settings.h"
#include "pg/standby.h"
#include "pg/untriggered.h"
#include "pg/wal.h"
#include "shmem/acceptance.h"
#include "shmem/retired_ring.h"
#include "shmem/session_ring.h"
#include "shmem/wait.h"
#include "shmem/master.h"
#include "store/blocker.h"
#include "store/link.h"
#include "store/epoch_table.h"
#include "store/event_table.h"
#include "store/outbox_table.h"
#include "store/quarantine_table.h"
#include "worker/clean_stop.h"
#include "worker/worker.h"

#define BATCH_SIZE 1000

#define TURN_MS		50			/* the longest turn when callers wait */
#define PAUSE_FOR_OTHERS_MS	100 /* idle no longer when others wait */

/* Failures in a row after which others that wait get the place. */
#define FAILURES_TO_YIELD 3
#define LOCK_PAUSE_MS	1000	/* a table is locked: nothing is broken */
#define REQUIRED_PAUSE_MS 200	/* callers wait for their events */
#define LONGEST_PAUSE_MS 5000	/* the ring fills up meanwhile */

#define STANDBY_POLL_MS	10		/* at most, for a synchronous standby */
#define STOP_LOCK_TIMEOUT "100ms"	/* when the server is stopped */

#define COUNTS_PAUSE_MS	1000	/* between two transactions that write counts */

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
	bool		replaced;		/* another is in its place */
	bool		unlocked;		/* the round works without its lock */
	bool		closing;		/* somebody is dropping it */
	uint64		seen;			/* flush_wanted when the round began */
	uint64		wanted;			/* the wish that it works on, */
	uint64		upto;			/* and how far the ring was filled then;
								 * PG_UINT64_MAX: see anew */
	bool		stopping;		/* the server is, and this empties the ring */
	TimestampTz stop_until;
	bool		handed_over;	/* nothing is left to do */
	bool		asked;			/* somebody has asked since the outbox was
								 * looked at: it may hold something */
	TimestampTz looked_at;		/* at the outbox */
	TimestampTz counted_at;		/* when counts were written last */
	int64		epoch;			/* of the ring in the round before */
	int64		renewed;		/* epoch that this writer has given to a ring */
	bool		opened;			/* the ring's epoch has its row */
	uint64		unconfirmed;	/* position in the tables that no standby had
								 * when it was looked at last */
	KmsRing    *retired;		/* a replaced ring that is being drained */
	bool		retired_intact;
	bool		retired_done;	/* no replaced ring is left */
	int64		complete;		/* epoch that is whole, or has its gap */
	KmsEvent   *events;			/* BATCH_SIZE */

	Source		ring;
	Source		outbox;
	Source	   *current;		/* the one at work, when an error ends it */
	KmsTrail	trail;			/* as it was closed last */
	KmsSigning	signing;
	KmsKeeper	keeper;
	bool		skip;			/* a row was in the way of one of ours */
	bool		told;			/* a gap says that the server was restored,
								 * and so that the ring is not that of the
								 * trail */
	KmsAcceptance wish;			/* of the trail's owner */
	int64		accepted;		/* ticket of the gap that it became */
	bool		wrote;			/* this round has written something */
	bool		more;			/* and has left something */
} Writer;

static void take_request(Writer *writer);
static void one_round(void *arg);
static void hand_over(Writer *writer);
static bool has_all_written(const Writer *writer);
static void mark_handed_over(void *arg);
static void hand_over_ring(Writer *writer, KmsRing *ring);
static void nap(void);
static void sign_trail(Writer *writer);
static void sign(void *arg);
static void accept_gap(Writer *writer);
static void write_gap(void *arg);
static void file_anchor(int code, Datum arg);
static void note_able(Writer *writer);
static void commit_trail(Writer *writer, const KmsTrail *trail);
static bool prepare(Writer *writer);
static void lock_trail(Writer *writer);
static void require_extension(const Writer *writer);
static void blame_drop(Writer *writer, KmsWorkerError *error);
static void look_for_drop(void *arg);
static void open_trail(Writer *writer, KmsRing *ring, KmsTrail *trail);
static bool must_hurry(const Writer *writer);
static bool must_break_off(const Writer *writer);
static void drain_retired(Writer *writer);
static int64 newest_epoch(Writer *writer);
static bool compare(Writer *writer, KmsRing *ring);
static bool write_ring(Writer *writer, KmsRing *ring, uint64 upto);
static bool await_standby(Writer *writer, uint64 written);
static bool is_ahead(const Writer *writer, const KmsRing *ring,
					 const KmsTrail *trail,
					 const KmsRingCounters *counters);
static bool write_counts(Writer *writer, KmsRing *ring);
static void write_entry(KmsTrail *trail, const KmsTallyEntry *entry);
static bool is_waited_for(const Writer *writer);
static bool must_look(const Writer *writer);
static bool write_outbox(Writer *writer);
static int	read_batch(Writer *writer, KmsRing *ring, KmsTrail *trail,
					   uint64 upto, uint64 *damaged);
static void succeed(Source *source);
static void handle_error(Writer *writer, const KmsWorkerError *error);
static bool may_pass(int sqlstate);
static long longest_pause(int failures, int sqlstate);
static void tell_waiters(Writer *writer, pg_atomic_uint64 *reached,
						 uint64 wanted);
static bool has_nothing_left(Writer *writer);
static bool others_wait(const KmsWorker *worker);
static bool ends_turn(const Writer *writer, TimestampTz started,
					  TimestampTz now);
static long idle_pause(TimestampTz last_work, TimestampTz now, bool reserved,
					   bool waiting);
static void wait_out(const KmsWorker *worker, long pause);

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
	TimestampTz started;
	TimestampTz last_work;

	worker->reserved = reserved;
	kms_worker_start(worker, order);
	/* no rule or trigger of anybody may hold up the trail, or run for us */
	SetConfigOption("session_replication_role", "replica", PGC_SUSET,
					PGC_S_OVERRIDE);
	kms_untriggered_install();
	started = last_work = GetCurrentTimestamp();
	writer.events = MemoryContextAllocHuge(TopMemoryContext,
										   BATCH_SIZE * sizeof(KmsEvent));
	before_shmem_exit(file_anchor, PointerGetDatum(&writer));
	writer.ring.limit = BATCH_SIZE;
	writer.outbox.limit = BATCH_SIZE;

	for (;;)
	{
		KmsWorkerError error;
		TimestampTz now;
		bool		waiting;
		bool		failing = false;
		long		pause = 0;

		ResetLatch(MyLatch);
		if (kms_clean_stop_requested())
		{
			hand_over(&writer);
			break;
		}
		if (kms_worker_must_leave(worker))
			break;

		take_request(&writer);
		writer.wrote = false;
		writer.more = false;
		writer.unlocked = false;
		writer.closing = false;
		writer.current = NULL;
		if (kms_worker_try(one_round, &writer, &error))
		{
			kms_worker_good(worker);
			if (!writer.absent && !writer.replaced)
			{
				sign_trail(&writer);
				accept_gap(&writer);
				kms_continuity_file(&writer.keeper, false);
			}
		}
		else
		{
			if (writer.unlocked)
				blame_drop(&writer, &error);
			handle_error(&writer, &error);
			failing = !writer.more;
			kms_wait_wake(worker->database, true);	/* it may be hopeless */
			pause = longest_pause(kms_worker_failures(worker), error.sqlstate);
		}
		if (writer.absent || writer.replaced || writer.closing)
			kms_wait_end_all(worker->database);
		if (writer.absent)
		{
			kms_worker_absent(worker);
			tell_waiters(&writer, &worker->database->flush_closed, writer.seen);
			break;
		}
		if (writer.replaced)
		{
			/* a new one begins without what this one remembers */
			kms_shared_request(worker->database, KMS_WRITER);
			break;
		}

		now = GetCurrentTimestamp();
		if (writer.wrote || kms_worker_failures(worker) > 0 ||
			last_work > now)	/* the clock was put back */
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
		else if (!writer.more && !kms_clean_stop_requested())
			(void) WaitLatch(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 idle_pause(last_work, now, reserved != NULL,
										waiting),
							 PG_WAIT_EXTENSION);
	}

	if (!writer.absent && !writer.handed_over &&
		(writer.asked || !has_nothing_left(&writer)))
		kms_shared_request(worker->database, KMS_WRITER);
	kms_worker_end(worker);
}

/* What is asked for from here on is asked for again. */
static void
take_request(Writer *writer)
{
	KmsWorkerState *state = &writer->worker.database->worker[KMS_WRITER];

	if (pg_atomic_exchange_u32(&state->requested,
							   KMS_REQUEST_NONE) != KMS_REQUEST_NONE)
		writer->asked = true;
}

static void
one_round(void *arg)
{
	Writer	   *writer = arg;
	KmsRing    *ring;
	KmsRingCounters counters;
	KmsDatabase *database = writer->worker.database;
	bool		done;

	kms_worker_reload();
	writer->seen = pg_atomic_read_u64(&database->flush_wanted);
	pg_memory_barrier();

	if (!prepare(writer))
		return;
	ring = kms_session_ring_get();
	if (ring == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the event ring of this database cannot be made; the server log says why")));
	if (kms_ring_epoch(ring) != writer->epoch)
	{
		/* the one before was replaced, and may hold events */
		writer->epoch = kms_ring_epoch(ring);
		writer->opened = false;
		writer->unconfirmed = 0;
		writer->retired_done = false;
		writer->upto = PG_UINT64_MAX;
	}
	if (!writer->retired_done)
		drain_retired(writer);
	if (writer->retired != NULL && must_break_off(writer))
	{
		writer->more = true;
		return;
	}
	if (!compare(writer, ring))
	{
		writer->more = true;
		return;
	}
	kms_wait_open_lane(database);
	kms_ring_counters(ring, &counters);

	/* a wish must not wait for what comes after it, while that goes on */
	if (writer->upto == PG_UINT64_MAX ||
		pg_atomic_read_u64(&database->flush_done) >= writer->wanted)
	{
		writer->wanted = writer->seen;
		writer->upto = counters.head;
	}
	if (!writer->opened || counters.head != counters.tail)
		(void) write_ring(writer, ring, counters.head);
	writer->opened = true;
	kms_ring_counters(ring, &counters);
	done = counters.tail >= writer->upto;
	done = write_counts(writer, ring) && done;
	if (must_look(writer))
		done = write_outbox(writer) && done;
	else
		done = false;
	pgstat_report_stat(false);
	if (done)
		tell_waiters(writer, &database->flush_done, writer->wanted);
}

/*
 * The server is being stopped, and who takes over has only the tables: write
 * what the last sessions record, and say that nothing follows.  Nothing of
 * this may keep the server: sessions it waits for itself, and when they are gone
 * a round that fails is the last.
 */
static void
hand_over(Writer *writer)
{
	KmsWorkerError error = {0};
	int			others;
	bool		again = true;

	if (!kms_clean_stop_of_server())
		kms_clean_stop_end();
	SetConfigOption("lock_timeout", STOP_LOCK_TIMEOUT, PGC_SUSET,
					PGC_S_OVERRIDE);
	writer->stopping = true;
	writer->stop_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													 KMS_CLEAN_STOP_MOST_MS);
	strlcpy(error.message, "not all of its events could be written",
			sizeof(error.message));
	while (again && !must_hurry(writer))
	{
		bool		good;

		others = kms_clean_stop_count_others(MyDatabaseId);
		take_request(writer);
		writer->more = false;
		writer->wrote = false;
		writer->current = NULL;
		good = kms_worker_try(one_round, writer, &error);
		if (writer->absent || writer->replaced)
			return;
		if (!good)
			handle_error(writer, &error);
		if (others == 0 && has_all_written(writer))
		{
			if (kms_worker_try(mark_handed_over, writer, &error))
			{
				LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
				writer->worker.database->handed_over = true;
				LWLockRelease(&kms_shared->lock);
				writer->handed_over = true;
				error.message[0] = '\0';
			}
			break;
		}
		again = others > 0 || writer->more || (good && writer->wrote);
		if (again && !writer->wrote)
			nap();
	}
	kms_continuity_file(&writer->keeper, true);
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

/* The outbox is a table: who takes over moves it. */
static bool
has_all_written(const Writer *writer)
{
	return writer->opened && writer->retired_done &&
		kms_session_ring_get() != NULL && !kms_session_ring_pending();
}

static void
mark_handed_over(void *arg)
{
	hand_over_ring(arg, kms_session_ring_get());
}

/*
 * Say that nothing follows from this ring, all of which is written.  If it has
 * been replaced, sessions record into another one already, so that is where the
 * trail ends from this commit on.
 */
static void
hand_over_ring(Writer *writer, KmsRing *ring)
{
	KmsTrail	trail;
	KmsTrail	current;

	kms_worker_begin("handing the trail over");
	lock_trail(writer);
	open_trail(writer, ring, &trail);
	trail.handed_over = true;
	kms_event_table_close(&trail);
	if (ring == writer->retired)
		kms_event_table_open(&current, kms_ring_epoch(kms_session_ring_get()), 0, false,
							 kms_continuity_limit(&writer->keeper));
	commit_trail(writer, &trail);
}

static void
nap(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 KMS_CLEAN_STOP_POLL_MS, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

/*
 * Those who wait have been told by now, and what goes wrong here is no
 * failure of the round.
 */
static void
sign_trail(Writer *writer)
{
	KmsWorkerError error;
	const char *name;

	note_able(writer);
	if (writer->keeper.anchor.broken != KMS_ANCHOR_HOLDS ||
		!kms_sign_is_due(&writer->signing, &writer->trail) ||
		kms_worker_try(sign, writer, &error))
		return;
	writer->signing.known = false;
	name = kms_worker_database();
	if (error.sqlstate != ERRCODE_QUERY_CANCELED)
		ereport(LOG,
				(errcode(error.sqlstate),
				 errmsg("kms writer of database \"%s\": the trail could not be signed, which is tried again: %s",
						name, error.message)));
}

static void
sign(void *arg)
{
	Writer	   *writer = arg;

	KmsKeeper  *keeper = &writer->keeper;
	KmsSigning *signing = &writer->signing;

	kms_worker_begin("signing the trail");
	lock_trail(writer);
	if (kms_continuity_confirm(keeper))
	{
		int64		before = keeper->anchor.current.signed_ticket;

		if (kms_sign_checkpoint(signing, &writer->trail, before))
			writer->more = true;
		if (signing->ticket != before)
			kms_continuity_commit(keeper, &writer->trail, signing->ticket,
								  signing->hash);
	}
	require_extension(writer);
	kms_worker_commit();
	kms_continuity_committed(keeper);
	kms_continuity_file(keeper, true);
}

/* What its owner has asked for is done even where it cannot be told any more. */
static void
accept_gap(Writer *writer)
{
	KmsAcceptanceAnswer answer = {0};
	KmsWorkerError error;

	if (!kms_acceptance_wanted(&writer->wish))
		return;
	kms_clean_stop_allow();		/* it may have many rows to delete */
	if (kms_worker_try(write_gap, writer, &error))
		answer.ticket = writer->accepted;
	else
	{
		kms_continuity_forget(&writer->keeper);
		writer->signing.known = false;
		strlcpy(answer.error, error.message, sizeof(answer.error));
	}
	kms_acceptance_answer(&answer);
	kms_clean_stop_defer();
}

/* The gap follows from the last row that is good, as if there were no other. */
static void
write_gap(void *arg)
{
	Writer	   *writer = arg;
	const KmsAcceptance *wish = &writer->wish;
	KmsSigning *signing = &writer->signing;
	KmsTrail	trail;

	kms_worker_begin("accepting a gap of the trail");
	lock_trail(writer);
	open_trail(writer, kms_session_ring_get(), &trail);
	(void) kms_event_table_skip(&trail);
	kms_event_table_clear(&trail);
	memcpy(trail.hash, wish->hash, sizeof(trail.hash));
	kms_event_table_append(&trail, &wish->gap, 1);
	kms_event_table_close(&trail);
	kms_sign_accept(signing, &trail, wish->after);
	kms_continuity_accept(&writer->keeper);
	commit_trail(writer, &trail);
	writer->trail = trail;
	writer->accepted = trail.last_ticket;
	kms_continuity_file(&writer->keeper, true);
}

static void
file_anchor(int code, Datum arg)
{
	Writer	   *writer = (Writer *) DatumGetPointer(arg);

	kms_continuity_file(&writer->keeper, code != 0);
}

/* Each writer looks, and maintenance calls for one every few minutes. */
static void
note_able(Writer *writer)
{
	KmsDatabase *database = writer->worker.database;

	if (kms_master_generation() == 0 || writer->keeper.renewed)
		database->able_since = 0;
	writer->keeper.renewed = false;
	if (kms_master_generation() != 0 && database->able_since == 0)
		database->able_since = GetCurrentTimestamp();
	writer->signing.able_since = database->able_since;
}

/* Find the extension, map its ring. */
static bool
prepare(Writer *writer)
{
	Oid			extension;

	kms_worker_begin("looking for extension kms");
	extension = kms_worker_extension();
	writer->absent = !OidIsValid(extension);
	writer->replaced = !writer->absent && OidIsValid(writer->extension) &&
		extension != writer->extension;
	if (!writer->absent && !writer->replaced)
	{
		writer->extension = extension;
		kms_session_ring_bind(extension);
	}
	kms_worker_commit();

	if (writer->absent || writer->replaced)
		return false;
	writer->absent = !kms_worker_present(&writer->worker);	/* no place */
	return !writer->absent;
}

/*
 * DROP EXTENSION locks the extension before any table, so a writer that holds
 * this lock never waits for a DROP half-way.  Without it the two may wait for
 * each other's tables, which the lock_timeout ends.
 */
static void
lock_trail(Writer *writer)
{
	if (!kms_lock_try_extension(writer->extension, KMS_LOCK_EXTENSION))
		writer->unlocked = true;
	if (!kms_lock_try_extension(writer->extension, KMS_LOCK_WRITER))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("another process writes the trail")));
}

/*
 * Before each commit: raise if the extension was dropped or replaced before the
 * transaction locked its first table, for then the tables are another one's.
 */
static void
require_extension(const Writer *writer)
{
	AcceptInvalidationMessages();
	if (kms_worker_extension() != writer->extension)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("extension kms has been dropped")));
}

/*
 * A round without the lock of the extension has failed, perhaps because
 * somebody drops that: then the tables are locked, or gone.  A caller that
 * waits for its event may hold what the DROP waits for, and so is told; but
 * not because somebody merely has the lock of the extension.
 */
static void
blame_drop(Writer *writer, KmsWorkerError *error)
{
	KmsWorkerError ignored;

	if (kms_worker_try(look_for_drop, writer, &ignored) &&
		writer->closing)
	{
		error->sqlstate = ERRCODE_LOCK_NOT_AVAILABLE;
		strlcpy(error->message, "extension kms is being dropped",
				sizeof(error->message));
	}
}

static void
look_for_drop(void *arg)
{
	Writer	   *writer = arg;

	kms_worker_begin("looking for who drops extension kms");
	writer->closing = kms_worker_extension() != writer->extension ||
		kms_blocker_is_dropping(writer->extension);
	kms_worker_commit();
}

static void
open_trail(Writer *writer, KmsRing *ring, KmsTrail *trail)
{
	KmsKeeper  *keeper = &writer->keeper;
	int64		complete = writer->complete;
	uint64		end;

	kms_continuity_begin(keeper);
	if (keeper->restored || ring == writer->retired)
	{
		KmsEpochRow newest;

		(void) kms_epoch_table_end(&newest, KMS_TICKET_LIMIT);
		/* one gap is enough, and a ring that is in use lacks nothing */
		if (keeper->restored ||
			newest.epoch == kms_ring_epoch(kms_session_ring_get()))
			complete = newest.epoch;
	}
	kms_event_table_open(trail, kms_ring_epoch(ring), complete,
						 ring == writer->retired, kms_continuity_limit(keeper));
	kms_continuity_follow(keeper, trail,
						  kms_ring_unchecked(ring, &end) &&
						  (uint64) trail->position > end);
	if ((writer->skip || keeper->anchor.broken != KMS_ANCHOR_HOLDS ||
		 keeper->anchor.current.ticket != 0) &&
		kms_event_table_skip(trail))
		kms_continuity_break(keeper);
}

/* It is flushed when this returns. */
static void
commit_trail(Writer *writer, const KmsTrail *trail)
{
	kms_continuity_commit(&writer->keeper, trail,
						  writer->keeper.accepting ? writer->signing.ticket : 0,
						  writer->signing.hash);
	require_extension(writer);
	kms_worker_commit();
	writer->told = writer->told || writer->keeper.restored;
	kms_continuity_committed(&writer->keeper);
	kms_sign_note(&writer->signing, trail);
}

/* Whether to look what SIGTERM wants, or to leave the rest. */
static bool
must_hurry(const Writer *writer)
{
	return kms_clean_stop_requested() &&
		(!writer->stopping ||
		 !kms_shared_pausing(writer->stop_until, KMS_CLEAN_STOP_MOST_MS));
}

/* Whether the loop outside has something to do before the rest. */
static bool
must_break_off(const Writer *writer)
{
	return ConfigReloadPending || kms_worker_must_leave(&writer->worker) ||
		must_hurry(writer);
}

/*
 * Write what rings hold that were replaced, and delete them.  Each is handed
 * over then, and the one to which the trail was written last is the first, so
 * none of the others seems to follow one that has more to come.
 */
static void
drain_retired(Writer *writer)
{
	int64		newest = newest_epoch(writer);
	bool		unread = false;
	bool		removed = true;

	while (removed)
	{
		KmsRingCounters counters;

		/* one that an error has kept us from finishing comes first */
		if (writer->retired == NULL)
			writer->retired = kms_retired_ring_open(newest,
													&writer->retired_intact,
													&unread);
		if (writer->retired == NULL)
			break;

		(void) compare(writer, writer->retired);
		kms_ring_counters(writer->retired, &counters);
		while (!write_ring(writer, writer->retired, counters.head))
		{
			CHECK_FOR_INTERRUPTS();
			if (must_break_off(writer))
				return;
		}
		(void) write_counts(writer, writer->retired);
		if (writer->retired_intact)
			hand_over_ring(writer, writer->retired);
		removed = kms_retired_ring_discard(writer->retired);
		writer->retired = NULL;
	}
	writer->retired_done = !unread;
}

static int64
newest_epoch(Writer *writer)
{
	KmsEpochRow newest;

	kms_worker_begin("looking where the trail ends");
	lock_trail(writer);
	(void) kms_epoch_table_end(&newest, KMS_TICKET_LIMIT);
	require_extension(writer);
	kms_worker_commit();
	return newest.epoch;
}

/*
 * Once after the server has started: see whether the file was older than the
 * tables.  Then all that was in it is passed over.  False if it has to be
 * tried again.
 */
static bool
compare(Writer *writer, KmsRing *ring)
{
	KmsTrail	trail;
	uint64		end;
	bool		older;
	bool		renewed;

	if (!kms_ring_unchecked(ring, &end))
		return true;

	writer->current = NULL;
	kms_worker_begin("comparing the event ring with the trail");
	lock_trail(writer);
	open_trail(writer, ring, &trail);
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
	commit_trail(writer, &trail);

	if (!older)
	{
		kms_ring_checked(ring);
		return true;
	}

	/* nobody records into a retired one */
	writer->complete = trail.epoch;
	if (ring == writer->retired)
	{
		kms_ring_release(ring, end);
		kms_ring_checked(ring);
		return true;
	}
	renewed = kms_session_ring_renew();
	if (renewed)
	{
		writer->epoch = writer->renewed = kms_ring_epoch(ring);
		writer->upto = PG_UINT64_MAX;
	}
	return renewed;
}

/*
 * Write a batch of what is before position "upto"; true if nothing of it is
 * left.
 */
static bool
write_ring(Writer *writer, KmsRing *ring, uint64 upto)
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
	open_trail(writer, ring, &trail);
	kms_ring_counters(ring, &counters);

	/* the tables were put back, or the epoch begins here */
	if ((uint64) trail.position < counters.tail)
	{
		char		context[128];

		snprintf(context, sizeof(context),
				 "ring positions " INT64_FORMAT " to " UINT64_FORMAT,
				 trail.position, counters.tail - 1);
		if (trail.epoch != writer->renewed && !writer->told &&
			!writer->keeper.restored)
			kms_event_table_gap(&trail, (int64) counters.tail - trail.position,
								context);
		trail.position = (int64) counters.tail;
		moved = true;
	}
	else if (is_ahead(writer, ring, &trail, &counters))
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
	count = read_batch(writer, ring, &trail, upto, &damaged);
	if (count > 0 && source->set_aside)
		kms_quarantine_table_insert(&trail, &writer->events[0],
									sizeof(KmsEvent), source->error);
	else if (count > 0)
		kms_event_table_append(&trail, writer->events, count);
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
	commit_trail(writer, &trail);
	writer->told = false;
	if (ring != writer->retired)
		writer->trail = trail;
	if (count > 0)
	{
		writer->wrote = true;
		succeed(source);
	}

	/* the commit is flushed */
	kms_ring_counters(ring, &counters);
	if ((uint64) trail.position > counters.tail)
	{
		if (kms_audit_wait_for_standby && kms_audit == KMS_AUDIT_REQUIRED &&
			!await_standby(writer, (uint64) trail.position))
		{
			writer->more = true;
			return false;
		}
		kms_ring_release(ring, (uint64) trail.position);
		kms_ring_counters(ring, &counters);
		kms_wait_wake(writer->worker.database,
					  ring == writer->retired ||
					  counters.head == counters.tail);
	}
	if ((uint64) trail.position >= upto)
		return true;

	/* a full batch, or somebody is just filling an entry */
	if ((uint64) trail.position != first)
		writer->more = true;
	return false;
}

/*
 * Who waits for these events is told when a standby has them.  Until then the
 * tables are ahead of the ring.  False if there is something else to do first.
 * Not SyncRepWaitForLSN: it neither hears of a reload, nor leaves when the
 * database is to be dropped, nor takes part in the barriers of others.
 */
static bool
await_standby(Writer *writer, uint64 written)
{
	uint32		timeline;
	uint64		position;
	long		pause = 1;
	bool		confirmed = true;

	if (!kms_standby_awaited())
		return true;
	writer->unconfirmed = written;
	kms_wal_flushed(&timeline, &position);
	pgstat_report_activity(STATE_RUNNING, "waiting for a synchronous standby");
	while (confirmed && !kms_standby_has(position))
	{
		/* then nobody is left to be told, and the mark comes after the events */
		if (writer->stopping && kms_clean_stop_count_others(MyDatabaseId) == 0)
			break;
		if (must_break_off(writer))
			confirmed = false;
		CHECK_FOR_INTERRUPTS();
		if (confirmed)
			(void) WaitLatch(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 pause, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		pause = Min(pause * 2, STANDBY_POLL_MS);
	}
	SetLatch(MyLatch);			/* it may have been set for the loop outside */
	pgstat_report_activity(STATE_IDLE, NULL);
	return confirmed;
}

/*
 * The tables can be ahead of the ring as it was found, by what had not been
 * released yet.  Later they are not, nor ever further than the ring goes:
 * somebody wants events to be passed over.
 */
static bool
is_ahead(const Writer *writer, const KmsRing *ring, const KmsTrail *trail,
		 const KmsRingCounters *counters)
{
	uint64		most = writer->opened && ring != writer->retired ?
	Max(counters->tail, writer->unconfirmed) : counters->head;

	return (uint64) trail->position > most;
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

/*
 * Write what was only counted or lost since the last time; true if nothing is
 * left.  What no ring could take is told of once there is one.
 */
static bool
write_counts(Writer *writer, KmsRing *ring)
{
	KmsDatabase *database = writer->worker.database;
	KmsTally   *tally = kms_ring_tally(ring);
	uint64		told = pg_atomic_read_u64(&database->unrecorded_told);
	uint64		unrecorded = pg_atomic_read_u64(&database->unrecorded);
	KmsTallyEntry entries[KMS_TALLY_CELLS];
	KmsTrail	trail;
	int			count;
	int			i;

	if (!kms_tally_pending(tally) && unrecorded == told)
		return true;
	if (ring != writer->retired && !is_waited_for(writer) &&
		kms_shared_pausing(TimestampTzPlusMilliseconds(writer->counted_at,
													   COUNTS_PAUSE_MS),
						   COUNTS_PAUSE_MS))
		return false;

	writer->current = NULL;
	kms_worker_begin("writing counts of events");
	lock_trail(writer);
	open_trail(writer, ring, &trail);
	count = kms_tally_take(tally, trail.counted, entries);
	for (i = 0; i < count; i++)
		write_entry(&trail, &entries[i]);
	if (unrecorded != told)
		kms_event_table_gap(&trail, (int64) (unrecorded - told),
							"no event ring could be made");
	trail.counted++;
	kms_event_table_close(&trail);
	commit_trail(writer, &trail);

	kms_tally_written(tally, trail.counted);
	pg_atomic_write_u64(&database->unrecorded_told, unrecorded);
	if (ring != writer->retired)
		writer->trail = trail;
	writer->wrote = true;
	writer->counted_at = GetCurrentTimestamp();
	return true;
}

static void
write_entry(KmsTrail *trail, const KmsTallyEntry *entry)
{
	KmsEvent	event;

	if (entry->operation == KMS_OP_GAP)
	{
		kms_event_table_gap(trail, entry->calls, "the event ring was full");
		return;
	}
	memset(&event, 0, sizeof(event));
	event.occurred_at = GetCurrentTimestamp();
	event.operation = entry->operation;
	event.status = entry->status;
	event.calls = entry->calls;
	event.duration_us = entry->duration_us;
	kms_event_table_append(trail, &event, 1);
}

/* Somebody wants all that was recorded so far in the tables. */
static bool
is_waited_for(const Writer *writer)
{
	return writer->stopping || writer->wanted !=
		pg_atomic_read_u64(&writer->worker.database->flush_done);
}

/*
 * Into the outbox, as now and then, or when asked; not for each event that a
 * caller waits for.
 */
static bool
must_look(const Writer *writer)
{
	return writer->asked || is_waited_for(writer) ||
		!kms_shared_pausing(writer->looked_at + kms_event_flush_interval * INT64CONST(1000),
							kms_event_flush_interval);
}

/* Move a batch of the outbox; true if nothing is left. */
static bool
write_outbox(Writer *writer)
{
	KmsTrail	trail;
	Source	   *source = &writer->outbox;
	int			count;

	writer->current = source;
	writer->looked_at = GetCurrentTimestamp();
	kms_worker_begin("moving events of the outbox");
	lock_trail(writer);
	open_trail(writer, kms_session_ring_get(), &trail);
	if (source->set_aside)
		count = kms_outbox_table_quarantine(&trail, source->error) ? 1 : 0;
	else
		count = kms_outbox_table_move(&trail, source->limit);
	if (count > 0)
		kms_event_table_close(&trail);
	commit_trail(writer, &trail);
	writer->trail = trail;

	if (count > 0)
	{
		bool		full = source->set_aside || count >= source->limit;

		writer->wrote = true;
		succeed(source);
		if (full)
			writer->more = true;
		else
			writer->asked = false;
		return !full;
	}
	source->set_aside = false;
	writer->asked = false;
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

	writer->more = false;

	/* pg_cancel_backend: not a failure, and not a reason to wait */
	if (error->sqlstate == ERRCODE_QUERY_CANCELED)
	{
		writer->more = true;
		return;
	}

	if (error->sqlstate == ERRCODE_UNIQUE_VIOLATION)
		writer->skip = true;
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
			const char *name = kms_worker_database();

			source->set_aside = true;
			strlcpy(source->error, error->message, sizeof(source->error));
			writer->more = true;
			ereport(LOG,
					(errmsg("kms writer of database \"%s\": an event is put into kms.event_quarantine: %s",
							name, error->message)));
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

/* Who waits for his event (kms.audit = required) gives up soon. */
static long
longest_pause(int failures, int sqlstate)
{
	long		pause = kms_worker_backoff(failures);

	if (sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
		pause = Min(pause, LOCK_PAUSE_MS);
	return Min(pause, kms_audit == KMS_AUDIT_REQUIRED ? REQUIRED_PAUSE_MS
			   : LONGEST_PAUSE_MS);
}

/* Those with that wish and earlier ones: it is fulfilled, or cannot be. */
static void
tell_waiters(Writer *writer, pg_atomic_uint64 *reached, uint64 wanted)
{
	if (pg_atomic_read_u64(reached) < wanted)
	{
		pg_atomic_write_u64(reached, wanted);
		ConditionVariableBroadcast(&writer->worker.database->flushed);
	}
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
	return !kms_session_ring_pending();
}

/* Maintenance has no use for the place of a reserved writer. */
static bool
others_wait(const KmsWorker *worker)
{
	return pg_atomic_read_u32(worker->reserved != NULL ? &kms_shared->writers_waiting
							  : &kms_shared->waiting) > 0;
}

/*
 * Whether to leave the place to others.  A turn is short only if callers wait
 * for one of them, because a process has to be started for each.
 */
static bool
ends_turn(const Writer *writer, TimestampTz started, TimestampTz now)
{
	int			failures = kms_worker_failures(&writer->worker);

	if (pg_atomic_read_u32(&kms_shared->callers_waiting) > 0)
		return !writer->more ||
			TimestampDifferenceExceeds(started, now, TURN_MS);
	return (failures == 0 && !writer->wrote) ||
		failures >= FAILURES_TO_YIELD ||
		TimestampDifferenceExceeds(started, now, KMS_WORKER_IDLE_MS);
}

/*
 * Until the next look for events, or until it has been idle for long enough.
 * The launcher wakes it if callers of others wait.
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

/* Neither a ring that fills up nor one who waits for a flush ends this. */
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
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}
