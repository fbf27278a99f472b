/*
 * Moving events from the ring and the outbox of a database into its trail.
 *
 * A round writes a batch of the ring in one transaction and a batch of the
 * outbox in another, so that a row that cannot be inserted is looked for in
 * the intake that it came from.  Each transaction moves the row of the ring in
 * kms.event_epoch along with the events, so that nothing is written twice.
 * Slots of the ring are released only after the commit is flushed.
 *
 * A third transaction writes what the ring had no room for and only counted
 * (shmem/tally.h), at most once a second unless a caller waits for it: a row
 * for each operation, status and reason, and a gap for lost events.
 */
#ifndef KMS_WORKER_DRAIN_H
#define KMS_WORKER_DRAIN_H

#include "shmem/ring.h"
#include "worker/trail_writer.h"
#include "worker/worker.h"

/* How much of an intake is taken at once, after it has caused errors. */
typedef struct KmsIntake
{
	int			limit;
	bool		quarantine;		/* the next event alone cannot be written */
	char		error[KMS_ERROR_SIZE];	/* why */
} KmsIntake;

typedef struct KmsDrain
{
	KmsWorker  *worker;
	KmsTrailWriter writer;
	uint64		seen;			/* flush_wanted when the round began */
	uint64		wanted;			/* the flush that is being carried out, */
	uint64		upto;			/* and the ring's head when it was seen;
								 * PG_UINT64_MAX: read it again */
	bool		stopping;		/* the server is; this empties the ring */
	TimestampTz stop_until;
	bool		asked;			/* a session has asked since the last look at
								 * the outbox, which may hold something */
	TimestampTz looked_at;		/* at the outbox */
	TimestampTz counted_at;		/* when counts were written last */
	int64		epoch;			/* of the ring in the round before */
	int64		renewed;		/* epoch that this process has given a ring */
	bool		opened;			/* the ring's epoch has its row */
	uint64		unconfirmed;	/* position in the tables that no standby had
								 * when it was looked at last */
	KmsRing    *retired;		/* a replaced ring that is being drained */
	bool		retired_intact;
	bool		retired_done;	/* no replaced ring is left */
	KmsEvent   *events;			/* a batch */
	int			moved;			/* events of the outbox that this round has
								 * written, and that are in the batch now */
	KmsIntake	ring;
	KmsIntake	outbox;
	KmsIntake  *current;		/* the one at work, when an error ends it */
	bool		wrote;			/* this round has written something */
	bool		more;			/* and has left something */
} KmsDrain;

/* "drain" is zeroed; the worker has started. */
extern void kms_drain_begin(KmsDrain *drain, KmsWorker *worker);

/*
 * Write a batch of each intake.  The extension is there, and the session is
 * bound to its ring.  Raises what ends the round.
 */
extern void kms_drain_round(KmsDrain *drain);

/*
 * After an error that ended a round: if a row can be the cause, halve the
 * batch, or quarantine the one event that is left, and return true, because
 * the next round goes on.  Return false for any other error.
 */
extern bool kms_drain_blame(KmsDrain *drain, const KmsWorkerError *error);

/*
 * Say in the tables that no event follows from this ring, all of which is
 * written.  If the ring has been replaced, sessions already record into
 * another one, so the trail ends there from this commit on.
 */
extern void kms_drain_hand_over(KmsDrain *drain, KmsRing *ring);

/* Tell callers that wait for a flush up to "wanted" that it is reached. */
extern void kms_drain_tell(KmsDrain *drain, pg_atomic_uint64 *reached,
						   uint64 wanted);

/*
 * Return whether SIGTERM has come and the loop of the process has to look at
 * it, or, while the server is being stopped, the time for that is over.
 */
extern bool kms_drain_must_hurry(const KmsDrain *drain);

#endif							/* KMS_WORKER_DRAIN_H */
