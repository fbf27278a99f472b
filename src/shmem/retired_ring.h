/*
 * Rings of this database that were replaced and may hold events that are not
 * yet in the tables; for the writer.
 */
#ifndef KMS_SHMEM_RETIRED_RING_H
#define KMS_SHMEM_RETIRED_RING_H

#include "shmem/ring.h"

/*
 * Map a replaced ring, if possible that of epoch "first".  Call it after
 * kms_session_ring_bind.
 *
 * Return NULL if there is none.  *unread is set if a ring exists that cannot
 * be opened now.  *intact is false if the machine has crashed since the ring
 * was in use.  May raise an error.
 */
extern KmsRing *kms_retired_ring_open(int64 first, bool *intact, bool *unread);

/*
 * Unmap that ring and delete its file.  Return false, with a line in the log,
 * if the file cannot be deleted.
 */
extern bool kms_retired_ring_discard(KmsRing *retired);

#endif							/* KMS_SHMEM_RETIRED_RING_H */
