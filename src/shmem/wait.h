/*
 * Waiting for the event writer: for an event to be durable (with kms.audit =
 * required, no result leaves before), for room in the ring, and for all events
 * to be written.
 */
#ifndef KMS_SHMEM_WAIT_H
#define KMS_SHMEM_WAIT_H

#include "portability/instr_time.h"

#include "shmem/events.h"
#include "shmem/shared.h"

/* Why an event is not, or cannot be, recorded. */
typedef enum KmsAudited
{
	KMS_AUDITED,				/* it is durable, or may become so */
	KMS_AUDIT_STANDBY,
	KMS_AUDIT_NO_LAUNCHER,		/* none ever came */
	KMS_AUDIT_NO_WRITER,		/* it cannot start, or cannot write */
	KMS_AUDIT_NO_RING,			/* there is none, and none can be made */
	KMS_AUDIT_ALONE,			/* kms.audit_wait_for_standby, and none */
	KMS_AUDIT_CLOSED,			/* the extension is being dropped */
	KMS_AUDIT_LATE				/* not within kms.audit_timeout */
} KmsAudited;

/* What is known now of an event that would be recorded; never waits. */
extern KmsAudited kms_wait_outlook(void);

/* An event that is to become durable, and since when its caller waits. */
typedef struct KmsPromise
{
	bool		pending;		/* there is something to wait for */
	KmsReceipt	receipt;
	instr_time	since;
} KmsPromise;

/*
 * In either mode, before a call begins: wait while this session owes for what
 * it has pushed into a ring that is more than half full.  At most for
 * kms.audit_timeout; can be cancelled.
 */
extern void kms_wait_for_debt(void);

/*
 * In either mode, before a call opens something: claim a slot for its event
 * (see kms_events_claim), waiting for one if there is none (*waited).  The
 * wait can be cancelled, and ends after kms.audit_timeout.  If the writer has
 * released no slot in all that time, in best_effort nobody waits until it
 * does.  KMS_AUDITED if there is a claim.
 */
extern KmsAudited kms_wait_claim(bool *waited);

/*
 * Record an event, waiting for a place in the ring if it has none.  Nothing
 * is pending of a refused call that is only counted.  An event that finds no
 * place in time is counted.
 */
extern KmsAudited kms_wait_submit(const KmsEvent *event,
								  KmsEventClass class,
								  KmsPromise *promise);

/* Wait until that event, and so every earlier one, is durable. */
extern KmsAudited kms_wait_durable(const KmsPromise *promise);

/*
 * Both together wait at most kms.audit_timeout, and can be cancelled: then
 * they raise, and the event may become durable all the same.
 */

/*
 * Wait until everything recorded before the call is in the tables, at most
 * timeout_ms (-1: as long as the writer makes progress); cancellable.  False
 * if that is not so in time, or is known not to become so, as when a table is
 * gone or the extension is dropped.
 */
extern bool kms_wait_flush(long timeout_ms);

/*
 * Why the writer does not write, as far as is known now; palloc'd, one line.
 */
extern char *kms_wait_obstacle(void);

/*
 * For the writer, before it looks how far the ring is filled: callers that
 * begin to wait from here on join another lane.
 */
extern void kms_wait_open_lane(KmsDatabase *database);

/*
 * For the writer: wake the callers in the lane that was closed, because what
 * they wait for is durable, or those in both lanes ("all").
 */
extern void kms_wait_wake(KmsDatabase *database, bool all);

/* For the writer, when the extension is dropped: end all waits. */
extern void kms_wait_end_all(KmsDatabase *database);

#endif							/* KMS_SHMEM_WAIT_H */
