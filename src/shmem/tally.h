/*
 * Counts of events that could not be recorded for lack of room: by operation
 * and status, the number and the total duration.
 *
 * A tally is in the ring's file and, like the ring, is plain memory with many
 * producers and one consumer, without locks, PostgreSQL or allocations.
 * Counts only grow.  The consumer writes the difference since its last write,
 * under a number that increases by one each time and is stored in the same
 * transaction.  So a kill at any moment neither loses a count nor writes one
 * twice.
 */
#ifndef KMS_SHMEM_TALLY_H
#define KMS_SHMEM_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#define KMS_TALLY_CELLS		256 /* pairs of operation and status */
#define KMS_TALLY_SIZE		(64 * (KMS_TALLY_CELLS + 1))	/* bytes */

typedef struct KmsTally KmsTally;	/* empty if all zero */

/* The counts to be written for one operation and status. */
typedef struct KmsTallyEntry
{
	uint8_t		operation;
	uint8_t		status;
	int64_t		calls;
	int64_t		duration_us;	/* total of all calls */
} KmsTallyEntry;

/*
 * Count calls.  Return false if there is no cell left.  Any process may do
 * that.
 */
extern bool kms_tally_add(KmsTally *tally, uint8_t operation, uint8_t status,
						  int64_t calls, int64_t duration_us);

/*
 * Return true if there are counts that are not written.  For the consumer;
 * other processes may ask, too.
 */
extern bool kms_tally_pending(const KmsTally *tally);

/*
 * For the consumer: begin to write.
 *
 * Store the counts since the last write in "entries", which has room for
 * KMS_TALLY_CELLS, and return how many there are.  "written" is the number
 * that is stored with the last write.  The caller must store the entries and
 * the number written + 1 in one transaction.
 */
extern int	kms_tally_take(KmsTally *tally, int64_t written,
						   KmsTallyEntry *entries);

/* For the consumer: that transaction has committed. */
extern void kms_tally_written(KmsTally *tally, int64_t written);

/* For the consumer: skip all counts so far. */
extern void kms_tally_skip(KmsTally *tally);

#endif							/* KMS_SHMEM_TALLY_H */
