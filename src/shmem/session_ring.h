/*
 * The event ring of this database, as this session has mapped it.
 */
#ifndef KMS_SHMEM_SESSION_RING_H
#define KMS_SHMEM_SESSION_RING_H

#include "shmem/anchor.h"
#include "shmem/ring.h"
#include "shmem/shared.h"

/*
 * Set the extension for which this session records events, and map its ring if
 * needed.  Call it in a transaction, before anything is recorded; it costs
 * nothing if nothing has changed.  Raises only errors of catalog lookups.
 */
extern void kms_session_ring_bind(Oid extension_oid);

/*
 * The same for the extension that was bound last, right before an event is
 * recorded, because the ring may have been replaced while the call waited for
 * a lock.
 */
extern void kms_session_ring_bind_again(void);

/*
 * Map the ring of the extension that was bound last, unless it is mapped.
 * Return false if there is none and none can be made now.  Raises no error,
 * and never waits for long.
 */
extern bool kms_session_ring_map(KmsDatabase *database);
extern bool kms_session_ring_available(void);

/* Return the mapped ring, or NULL.  The ring may have been replaced since. */
extern KmsRing *kms_session_ring_get(void);

/*
 * Return the generation of that ring, or 0 if there is none.  A ring that
 * replaces another one gets a new generation.
 */
extern uint64 kms_session_ring_generation(void);

/* Return true if a ring is mapped and has not been replaced. */
extern bool kms_session_ring_is_current(KmsDatabase *database);

/*
 * Return true if the mapped ring has events or counts that are not written, or
 * has been replaced by a ring that may have some.
 */
extern bool kms_session_ring_pending(void);

/*
 * Copy the counters and the epoch of the ring.  Return false if there is no
 * ring.
 */
extern bool kms_session_ring_counters(KmsRingCounters *counters,
									  int64 *epoch);

/*
 * For the writer: give the ring a new epoch (see kms_ring_renew).  Return
 * false if it is no longer the ring of this database, or no epoch can be made.
 */
extern bool kms_session_ring_renew(void);

/*
 * Read the anchor of this database's trail: that of the ring file or, if the
 * ring has none or an older one, that of the anchor file.  Return false if
 * there is none.
 *
 * The anchor is exact only if it comes from the ring, and if it has been
 * compared with the tables or "comparing" is set (by the writer, which is
 * about to compare it).
 */
extern bool kms_session_ring_anchor(KmsAnchor *anchor, bool comparing);

/* For the writer: store the anchor in the ring file. */
extern void kms_session_ring_keep_anchor(KmsAnchor *anchor);

/* Return the identity for anchors that are written here. */
extern void kms_session_ring_identity(KmsRingIdentity *identity);

#endif							/* KMS_SHMEM_SESSION_RING_H */
