/*
 * Recording events in this database's ring, from any session.
 */
#ifndef KMS_SHMEM_EVENTS_H
#define KMS_SHMEM_EVENTS_H

#include "nodes/pg_list.h"

#include "shmem/anchor.h"
#include "shmem/ring.h"
#include "shmem/shared.h"

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

/*
 * Tell which extension this session records for; maps its ring when needed.
 * To be called in a transaction, before what it does is recorded; costs
 * nothing when nothing has changed.  Raises only what looking at a catalog
 * may raise.
 */
extern void kms_events_bind(Oid extension_oid);

/*
 * The same for the extension bound last, right before an event is recorded:
 * others may have replaced the ring while the call waited for a lock.
 */
extern void kms_events_bind_again(void);

/*
 * Wait until everything recorded before the call is in the tables, at most
 * timeout_ms (-1: as long as the writer gets on, within seconds); cancellable.
 * False if it is not so in time or known that it will not be, as when a table
 * is gone or the extension is dropped.
 */
extern bool kms_events_flush(long timeout_ms);

/*
 * Why the writer does not write, as far as is known now; palloc'd, one line.
 */
extern char *kms_events_obstacle(void);

/* Whether there is a ring, or one could be made now; never waits for long. */
extern bool kms_events_have_ring(void);

/* The ring of this database as mapped by this process, or NULL: the writer. */
extern KmsRing *kms_events_ring(void);

/*
 * Whether it holds events or counts that are not written, or has been replaced
 * by one that may hold some.
 */
extern bool kms_events_pending(void);

/*
 * Give that ring a new epoch (see kms_ring_renew); for the writer.  False if
 * it is not this database's ring any more, or there is no new epoch.
 */
extern bool kms_events_renew(void);

/*
 * A ring of this database that was replaced and may hold events not yet
 * written, that of epoch "first" if there is one; for the writer, after
 * kms_events_bind.  NULL if there is none; *unread is set if there are some
 * that cannot be opened now.  *intact is false if the machine went down under
 * it.  May raise.
 */
extern KmsRing *kms_events_retired(int64 first, bool *intact, bool *unread);

/*
 * Unmap the ring that kms_events_retired gave and delete its file; false, with
 * a line in the log, if that stays.
 */
extern bool kms_events_discard(KmsRing *retired);

/* Whether a database has a ring file: events were recorded there before. */
extern bool kms_events_has_ring(Oid database_oid);

/* The databases that have one, as a list of oids in ascending order. */
extern List *kms_events_served(void);

/* Delete the ring files of databases for which "exists" says no.  May raise. */
extern void kms_events_sweep(bool (*exists) (Oid database_oid, void *arg),
							 void *arg);

/*
 * Whether a file in pg_stat_tmp may be a ring by its name, "kms.<database oid>",
 * "kms.<oid>.<epoch>" of one that was replaced, or "kms.<oid>.new"; the epoch
 * is 0 if the name has none.
 */
extern bool kms_events_file_name(const char *name, Oid *database_oid,
								 int64 *epoch);

/*
 * The anchor of this database's trail: of the ring file or, if that has none
 * or an older one, of the file beside it.  False if there is none.  It is
 * exact only if it is the ring's own and that has been compared with the
 * tables, or "comparing": by the writer, which does that.
 */
extern bool kms_events_anchor(KmsAnchor *anchor, bool comparing);

/* Keep it in the ring file; for the writer. */
extern void kms_events_keep_anchor(KmsAnchor *anchor);

/* Whose anchor is written here. */
extern void kms_events_identity(KmsRingIdentity *identity);

/* When the server stops: mark the rings as whole and sync them. */
extern void kms_events_close_at_exit(void);

/* False if this session has no ring mapped. */
extern bool kms_events_counters(KmsRingCounters *counters, int64 *epoch);

#endif							/* KMS_SHMEM_EVENTS_H */
