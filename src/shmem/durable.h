/*
 * kms.audit = required: no result leaves before its event is durable.
 */
#ifndef KMS_SHMEM_DURABLE_H
#define KMS_SHMEM_DURABLE_H

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

/*
 * Record an event, waiting for a place in the ring if it is full.  *pending
 * is whether there is something to wait for: calls refused for their form
 * ("form" as for kms_events_push) are only counted when the ring fills up.
 * An event that finds no place is counted as dropped.
 */
extern KmsAudited kms_durable_submit(const KmsEvent *event, bool form,
									 KmsReceipt *receipt, bool *pending);

/* Wait until that event, and so every earlier one, is durable. */
extern KmsAudited kms_durable_await(const KmsReceipt *receipt);

/*
 * Both wait at most kms.audit_timeout, and can be cancelled: then they raise,
 * and the event may become durable all the same.
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
