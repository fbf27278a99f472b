/*
 * Recording events in this database's ring, from any session.
 *
 * No function raises an error: an event that cannot be recorded is counted.
 * In a running server a push is never interrupted half-way, because signals
 * that end a session only set flags.
 */
#ifndef KMS_SHMEM_EVENTS_H
#define KMS_SHMEM_EVENTS_H

#include "shmem/ring.h"

/*
 * Record one event.  Raises no error and never waits for the writer.  It can
 * be used in abort callbacks, in read-only transactions and in parallel
 * workers (it opens a file, once a session, and reads no catalog).
 *
 * An event for whose class there is no room is only counted.  On a standby,
 * all events are only counted, and failures are logged.
 */
extern void kms_events_push(const KmsEvent *event, KmsEventClass class);

/*
 * Count the calls of an event in the counters of this database.
 * kms_events_push does so itself.  For an event that is recorded in another
 * way, its caller says how the call ended.
 */
extern void kms_events_count(const KmsEvent *event, bool succeeded);

/* The place of an event in the ring of this session. */
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

/* The same for a caller that may retry: nothing is counted. */
extern KmsPush kms_events_try(const KmsEvent *event, KmsEventClass class,
							  KmsReceipt *receipt);

/*
 * Count an event whose caller stops waiting for room.  "pushed" is the outcome
 * of the last attempt.
 */
extern void kms_events_give_up(const KmsEvent *event, KmsPush pushed);

/*
 * Claim a slot for the event of a call that is about to open something, so
 * that there will be room for the event.  Return false if there is no room
 * now.  If true, release the claim once, after the event was pushed.
 */
extern bool kms_events_claim(void);
extern void kms_events_release_claim(void);

/*
 * Return true if the claims of all sessions take more than a quarter of the
 * ring: then no claim may be kept longer than its call.
 */
extern bool kms_events_claims_crowd(void);

/*
 * Return true if this session has to wait while the ring is at least half
 * full, because it has pushed many events since the ring was last less than
 * half full.
 */
extern bool kms_events_in_debt(void);

/*
 * The fate of an event.  KMS_FATE_UNKNOWN means that its ring has been
 * replaced, so that nobody can tell.
 */
typedef enum KmsFate
{
	KMS_FATE_PENDING,
	KMS_FATE_DURABLE,
	KMS_FATE_UNKNOWN
} KmsFate;

extern KmsFate kms_events_fate(const KmsReceipt *receipt);

#endif							/* KMS_SHMEM_EVENTS_H */
