/*
 * The transactions that write the trail.
 *
 *	kms_trail_writer_begin(writer, activity);
 *	kms_trail_writer_open(writer, ring, retired, &trail);
 *	kms_event_table_append(&trail, …);
 *	kms_event_table_close(&trail);
 *	kms_trail_writer_commit(writer, &trail);
 *
 * There is one writer a database, because each of these transactions takes a
 * lock that only kms uses.  docs/design/workers.md says how they and DROP
 * EXTENSION stay out of each other's way.
 */
#ifndef KMS_WORKER_TRAIL_WRITER_H
#define KMS_WORKER_TRAIL_WRITER_H

#include "keys/continuity.h"
#include "keys/sign.h"
#include "shmem/ring.h"
#include "store/event_table.h"
#include "worker/worker.h"

/* The trail of a database as its writer remembers it; begins zeroed. */
typedef struct KmsTrailWriter
{
	Oid			extension;		/* whose trail it is */
	bool		unlocked;		/* the round works without its lock */
	bool		closing;		/* another process is dropping it */
	int64		complete;		/* epoch that lacks nothing, or has its gap */
	KmsTrail	last;			/* as it was closed last */
	KmsSigning	signing;
	KmsKeeper	keeper;
	bool		skip;			/* a row had a ticket that was ours */
	bool		unsigned_left;	/* the last signing has left something */
	bool		told;			/* a gap says that the server was restored,
								 * and so that the ring is not that of the
								 * trail */
} KmsTrailWriter;

/*
 * Begin a transaction, shown in pg_stat_activity as "activity", and lock the
 * trail.  Raises 55P03 if another process writes it.
 */
extern void kms_trail_writer_begin(KmsTrailWriter *writer,
								   const char *activity);

/*
 * Find the end of the trail, from which *trail goes on with events of "ring".
 * "retired": sessions record into another ring by now.
 */
extern void kms_trail_writer_open(KmsTrailWriter *writer, KmsRing *ring,
								  bool retired, KmsTrail *trail);

/*
 * Commit what *trail has got, and note it for the anchor and for signing.  It
 * is flushed when this returns.
 */
extern void kms_trail_writer_commit(KmsTrailWriter *writer,
									const KmsTrail *trail);

/*
 * Commit a transaction that has written no event.  Like the function above it
 * raises if the extension was dropped or replaced before the transaction
 * locked its first table, because then the tables belong to another extension.
 */
extern void kms_trail_writer_end(const KmsTrailWriter *writer);

/*
 * Change *error, with which a round has failed, if the cause is that another
 * process drops the extension: then the tables are locked, or gone.  A caller
 * that waits for its event may hold a lock for which the DROP waits, and so is
 * told (writer->closing).  The lock of the extension alone is not enough for
 * that, because other commands take it, too.
 */
extern void kms_trail_writer_blame_drop(KmsTrailWriter *writer,
										KmsWorkerError *error);

#endif							/* KMS_WORKER_TRAIL_WRITER_H */
