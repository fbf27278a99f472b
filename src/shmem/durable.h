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
 * Record an event, waiting for a place in the ring if it is full.  Nothing is
 * pending of a call refused for its form ("form" as for kms_events_push) that
 * is only counted, as the ring fills up.  An event that finds no place is
 * counted as dropped.
 */
extern KmsAudited kms_durable_submit(const KmsEvent *event, bool form,
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
