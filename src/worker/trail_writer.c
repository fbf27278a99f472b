#include "postgres.h"

#include "utils/inval.h"

#include "worker/trail_writer.h"

#include "pg/fault.h"
#include "pg/lock.h"
#include "shmem/session_ring.h"
#include "store/blocker.h"
#include "store/epoch_table.h"
#include "store/link.h"
#include "worker/worker.h"

static void lock(KmsTrailWriter *writer);
static void look_for_drop(void *arg);

void
kms_trail_writer_begin(KmsTrailWriter *writer, const char *activity)
{
	kms_worker_begin(activity);
	lock(writer);
}

/*
 * DROP EXTENSION locks the extension before any table, so a writer that holds
 * this lock never waits for a DROP half-way.  Without it the two may wait for
 * each other's tables, which the lock_timeout ends.
 */
static void
lock(KmsTrailWriter *writer)
{
	if (!kms_lock_try_extension(writer->extension, KMS_LOCK_EXTENSION))
		writer->unlocked = true;
	if (!kms_lock_try_extension(writer->extension, KMS_LOCK_WRITER))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("another process writes the trail")));
}

void
kms_trail_writer_open(KmsTrailWriter *writer, KmsRing *ring, bool retired,
					  KmsTrail *trail)
{
	KmsKeeper  *keeper = &writer->keeper;
	int64		complete = writer->complete;
	uint64		end;

	kms_continuity_begin(keeper);
	if (keeper->restored || retired)
	{
		KmsEpochRow newest;

		(void) kms_epoch_table_end(&newest, KMS_TICKET_LIMIT);
		/* one gap is enough, and a ring that is in use lacks nothing */
		if (keeper->restored ||
			newest.epoch == kms_ring_epoch(kms_session_ring_get()))
			complete = newest.epoch;
	}
	kms_event_table_open(trail, kms_ring_epoch(ring), complete,
						 retired, kms_continuity_limit(keeper));
	kms_continuity_follow(keeper, trail,
						  kms_ring_unchecked(ring, &end) &&
						  (uint64) trail->position > end);
	if ((writer->skip || keeper->anchor.broken != KMS_ANCHOR_HOLDS ||
		 keeper->anchor.current.ticket != 0) &&
		kms_event_table_skip(trail))
		kms_continuity_break(keeper);
}

void
kms_trail_writer_end(const KmsTrailWriter *writer)
{
	AcceptInvalidationMessages();
	if (kms_worker_extension() != writer->extension)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("extension kms has been dropped")));
	kms_worker_commit();
}

void
kms_trail_writer_commit(KmsTrailWriter *writer, const KmsTrail *trail)
{
	kms_continuity_commit(&writer->keeper, trail,
						  writer->keeper.accepting ? writer->signing.ticket : 0,
						  writer->signing.hash);
	kms_trail_writer_end(writer);
	writer->told = writer->told || writer->keeper.restored;
	kms_continuity_committed(&writer->keeper);
	kms_sign_note(&writer->signing, trail);
}

void
kms_trail_writer_blame_drop(KmsTrailWriter *writer, KmsWorkerError *error)
{
	KmsWorkerError ignored;

	if (!writer->unlocked)
		return;
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
	KmsTrailWriter *writer = arg;

	kms_worker_begin("looking for who drops extension kms");
	writer->closing = kms_worker_extension() != writer->extension ||
		kms_blocker_is_dropping(writer->extension);
	kms_worker_commit();
}
