/*
 * Rings of this database that were replaced and may hold events that are not
 * written; for the writer.
 */
#ifndef KMS_SHMEM_RETIRED_RING_H
#define KMS_SHMEM_RETIRED_RING_H

#include "shmem/ring.h"

/*
 * Map one of them, that of epoch "first" if it is there, after
 * kms_session_ring_bind.  NULL if there is none; *unread is set if there are
 * some that cannot be opened now.  *intact is false if the machine went down
 * under it.  May raise.
 */
extern KmsRing *kms_retired_ring_open(int64 first, bool *intact, bool *unread);

/*
 * Unmap that ring and delete its file; false, with a line in the log, if the
 * file stays.
 */
extern bool kms_retired_ring_discard(KmsRing *retired);

#endif							/* KMS_SHMEM_RETIRED_RING_H */
