/*
 * Recording events in this database's ring, from any session.
 *
 * Nothing here raises: an event that cannot be recorded is counted.  A push is
 * not interrupted half-way in a living server, because signals that end a
 * session only set flags.
 */
#ifndef KMS_SHMEM_EVENTS_H
#define KMS_SHMEM_EVENTS_H

#include "shmem/ring.h"

/*
 * Record one event.  Never raises and never waits for the writer; usable in
 * abort callbacks, read-only transactions and parallel workers (it opens a
 * file, once a session, and touches no catalog).  One that its class has no
 * room for is only counted.  On a standby it only counts, and logs a failure.
 */
extern void kms_events_push(const KmsEvent *event, KmsEventClass class);

/* Where an event is that is in the ring of this session. */
typedef struct KmsReceipt
{
	uint64		generation;		/* of the ring */
	uint64		position;
} KmsReceipt;

typedef enum KmsPush
{
	KMS_PUSH_DONE,
	KMS_PUSH_CROWDED,			/* no room for its class */
	KMS_PUSH_FULL,
	KMS_PUSH_NO_RING
} KmsPush;

/* The same for a caller that may try again: nothing is counted. */
extern KmsPush kms_events_try(const KmsEvent *event, KmsEventClass class,
							  KmsReceipt *receipt);

/*
 * Count an event that found no room until its caller gave up, "pushed" being
 * the outcome of the last try.
 */
extern void kms_events_give_up(const KmsEvent *event, KmsPush pushed);

/*
 * Claim a slot for the event of a call that is about to open something, so
 * that there will be room for it; false if there is none now.  Each claim is
 * released once, after the event was pushed.
 */
extern bool kms_events_claim(void);
extern void kms_events_release_claim(void);

/*
 * Whether this session has pushed so much since the ring was last less than
 * half full that it has to wait while the ring is fuller than that.
 */
extern bool kms_events_in_debt(void);

/*
 * Whether an event is durable in the tables, or its ring has been replaced so
 * that nobody will know.
 */
typedef enum KmsFate
{
	KMS_FATE_PENDING,
	KMS_FATE_DURABLE,
	KMS_FATE_UNKNOWN
} KmsFate;

extern KmsFate kms_events_fate(const KmsReceipt *receipt);

#endif							/* KMS_SHMEM_EVENTS_H */
