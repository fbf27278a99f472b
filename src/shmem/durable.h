/*
 * kms.audit = required: no result leaves before its event is durable.
 */
#ifndef KMS_SHMEM_DURABLE_H
#define KMS_SHMEM_DURABLE_H

#include "portability/instr_time.h"

#include "shmem/events.h"

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
extern KmsAudited kms_durable_outlook(void);

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
extern void kms_durable_pay(void);

/*
 * In either mode, before a call opens something: claim a slot for its event
 * (see kms_events_claim), waiting for one if there is none (*waited).  The
 * wait can be cancelled, and ends after kms.audit_timeout.  If the writer has
 * released no slot in all that time, in best_effort nobody waits until it
 * does.  KMS_AUDITED if there is a claim.
 */
extern KmsAudited kms_durable_claim(bool *waited);

/*
 * Record an event, waiting for a place in the ring if it has none.  Nothing
 * is pending of a refused call that is only counted.  An event that finds no
 * place in time is counted.
 */
extern KmsAudited kms_durable_submit(const KmsEvent *event,
									 KmsEventClass class,
									 KmsPromise *promise);

/* Wait until that event, and so every earlier one, is durable. */
extern KmsAudited kms_durable_await(const KmsPromise *promise);

/*
 * Both together wait at most kms.audit_timeout, and can be cancelled: then
 * they raise, and the event may become durable all the same.
 */

/*
 * The writer: a round is about to look how far the ring is filled; what it has
 * released is durable ("all": wake those as well who came since the round
 * began); the extension goes.
 */
extern void kms_durable_turn(KmsDatabase *database);
extern void kms_durable_tell(KmsDatabase *database, bool all);
extern void kms_durable_close(KmsDatabase *database);

#endif							/* KMS_SHMEM_DURABLE_H */
