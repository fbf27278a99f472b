/*
 * Writing events that were only counted: for those a ring had no room
 * (shmem/tally.h), and for others no ring could be made.
 */
#ifndef KMS_WORKER_COUNTS_H
#define KMS_WORKER_COUNTS_H

#include "shmem/shared.h"
#include "worker/trail_writer.h"

/* Return whether something has been counted since the last time. */
extern bool kms_counts_pending(KmsRing *ring, KmsDatabase *database);

/*
 * Write a row for each operation, status and reason, and a gap for lost
 * events, in a transaction of its own.  *trail is the trail as it was closed.
 */
extern void kms_counts_write(KmsTrailWriter *writer, KmsRing *ring,
							 bool retired, KmsDatabase *database,
							 KmsTrail *trail);

#endif							/* KMS_WORKER_COUNTS_H */
