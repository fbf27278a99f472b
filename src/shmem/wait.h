/*
 * Waiting for the event writer: for an event to be durable (with kms.audit =
 * required, no result leaves before that), for room in the ring, or for all
 * events to be written.
 */
#ifndef KMS_SHMEM_WAIT_H
#define KMS_SHMEM_WAIT_H

#include "portability/instr_time.h"

#include "shmem/events.h"
#include "shmem/shared.h"

/* The reason why an event is not, or cannot be, recorded. */
typedef enum KmsAudited
{
	KMS_AUDITED,				/* it is durable, or can become so */
	KMS_UNAUDITED_STANDBY,
	KMS_UNAUDITED_NO_LAUNCHER,	/* no launcher ever started */
	KMS_UNAUDITED_NO_WRITER,	/* the writer cannot start or cannot write */
	KMS_UNAUDITED_NO_RING,		/* there is no ring, and none can be made */
	KMS_UNAUDITED_ALONE,		/* audit_wait_for_standby, and there is none */
	KMS_UNAUDITED_CLOSED,		/* the extension is being dropped */
	KMS_UNAUDITED_LATE			/* not within kms.audit_timeout */
} KmsAudited;

/*
 * Return whether an event could be recorded now, as far as is known.  Never
 * waits.
 */
extern KmsAudited kms_wait_outlook(void);

/*
 * An event that is to become durable, and the time since which its caller
 * waits.
 */
typedef struct KmsPromise
{
	bool		pending;		/* the event is in the ring, so wait for it */
	KmsReceipt	receipt;
	instr_time	since;
} KmsPromise;

/*
 * Call before a call begins, in either mode: wait while kms_events_in_debt
 * returns true, at most for kms.audit_timeout.  The wait can be cancelled.
 */
extern void kms_wait_for_debt(void);

/*
 * Call before a call opens something, in either mode: claim a slot for its
 * event (see kms_events_claim), and wait for one if there is none (*waited).
 * Return KMS_AUDITED if there is a claim.
 *
 * The wait can be cancelled, and ends after kms.audit_timeout.  If the writer
 * has released no slot in all that time, then in best_effort no other call
 * waits until it does.
 */
extern KmsAudited kms_wait_claim(bool *waited);

/*
 * Record an event, and wait for room in the ring if there is none.  An event
 * that gets no room in time is counted, and so is an event of a refused call
 * at once; then nothing is pending.
 */
extern KmsAudited kms_wait_submit(const KmsEvent *event,
								  KmsEventClass class,
								  KmsPromise *promise);

/*
 * Wait until that event, and so every earlier one, is durable.
 *
 * kms_wait_submit and kms_wait_durable together wait at most for
 * kms.audit_timeout.  They can be cancelled: then they raise an error, and the
 * event may still become durable.
 */
extern KmsAudited kms_wait_durable(const KmsPromise *promise);


/*
 * Wait until everything that was recorded before this call is in the tables,
 * at most timeout_ms (-1: as long as the writer makes progress).  The wait can
 * be cancelled.  Return false if the time is over, or if the writer cannot get
 * there, for example because a table is missing or the extension is dropped.
 */
extern bool kms_wait_flush(long timeout_ms);

/*
 * Return why the writer does not write, as far as is known: one line,
 * palloc'd.
 */
extern char *kms_wait_obstacle(void);

/*
 * For the writer, before it looks how far the ring is filled: close the open
 * queue and open the other one for callers that begin to wait from now on.
 */
extern void kms_wait_open_queue(KmsDatabase *database);

/*
 * For the writer: wake the callers in the closed queue, because their events
 * are durable, or the callers in both queues ("all").
 */
extern void kms_wait_wake(KmsDatabase *database, bool all);

/* For the writer, when the extension is dropped: end all waits. */
extern void kms_wait_end_all(KmsDatabase *database);

#endif							/* KMS_SHMEM_WAIT_H */
