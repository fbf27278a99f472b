/*
 * The event ring of this database, as this session has mapped it.
 */
#ifndef KMS_SHMEM_SESSION_RING_H
#define KMS_SHMEM_SESSION_RING_H

#include "shmem/anchor.h"
#include "shmem/ring.h"
#include "shmem/shared.h"

/*
 * Tell which extension this session records for, and map its ring if needed.
 * To be called in a transaction, before what it does is recorded; costs
 * nothing if nothing has changed.  Raises only what looking at a catalog may
 * raise.
 */
extern void kms_session_ring_bind(Oid extension_oid);

/*
 * The same for the extension bound last, right before an event is recorded:
 * others may have replaced the ring while the call waited for a lock.
 */
extern void kms_session_ring_bind_again(void);

/*
 * Map the ring of the extension bound last, unless it is mapped.  False if
 * there is none and none can be made now.  Does not raise, and never waits for
 * long.
 */
extern bool kms_session_ring_map(KmsDatabase *database);
extern bool kms_session_ring_available(void);

/* The ring that is mapped, or NULL; it may have been replaced since. */
extern KmsRing *kms_session_ring_get(void);

/* Of that ring, 0 if there is none; a ring that is replaced gets another. */
extern uint64 kms_session_ring_generation(void);

/* Whether a ring is mapped and has not been replaced. */
extern bool kms_session_ring_is_current(KmsDatabase *database);

/*
 * Whether it holds events or counts that are not written, or has been replaced
 * by one that may hold some.
 */
extern bool kms_session_ring_pending(void);

/* False if this session has no ring. */
extern bool kms_session_ring_counters(KmsRingCounters *counters,
									  int64 *epoch);

/*
 * Give the ring a new epoch (see kms_ring_renew); for the writer.  False if it
 * is no longer the ring of this database, or there is no new epoch.
 */
extern bool kms_session_ring_renew(void);

/*
 * The anchor of this database's trail: that of the ring file or, if the ring
 * has none or an older one, that of the anchor file.  False if there is none.
 * It is exact only if it is the ring's own and has been compared with the
 * tables, or if "comparing": the writer, which does that.
 */
extern bool kms_session_ring_anchor(KmsAnchor *anchor, bool comparing);

/* Keep the anchor in the ring file; for the writer. */
extern void kms_session_ring_keep_anchor(KmsAnchor *anchor);

/* Whose anchor is written here. */
extern void kms_session_ring_identity(KmsRingIdentity *identity);

#endif							/* KMS_SHMEM_SESSION_RING_H */
