/*
 * Counts of events, for when there is no room to record each: by operation
 * and status, how many and how long they took together.
 *
 * Like the ring, in whose file it lies, a tally is plain memory with many
 * producers and one consumer, without locks, PostgreSQL or allocations.
 * Counts only ever grow.  The consumer writes what has been added since it
 * wrote last, under a number that goes up by one each time and that it stores
 * in the same transaction; so a kill at any moment neither loses a count nor
 * has one written twice.
 */
#ifndef KMS_SHMEM_TALLY_H
#define KMS_SHMEM_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#define KMS_TALLY_CELLS		256 /* pairs of operation and status */
#define KMS_TALLY_SIZE		(64 * (KMS_TALLY_CELLS + 1))	/* bytes */

typedef struct KmsTally KmsTally;	/* all zero is empty */

/* What is to be written of an operation and status. */
typedef struct KmsTallyEntry
{
	uint8_t		operation;
	uint8_t		status;
	int64_t		calls;
	int64_t		duration_us;	/* of all of them */
} KmsTallyEntry;

/* Count calls; false if there is no cell left.  Safe from any process. */
extern bool kms_tally_add(KmsTally *tally, uint8_t operation, uint8_t status,
						  int64_t calls, int64_t duration_us);

/* The consumer's side; also safe for others that only want to know. */
extern bool kms_tally_pending(const KmsTally *tally);

/*
 * Begin to write: put what has been added since "written", the number that is
 * stored with what was written last, into "entries", which has room for
 * KMS_TALLY_CELLS, and return how many there are.  What they say is to be
 * stored in one transaction with the number written + 1.
 */
extern int	kms_tally_take(KmsTally *tally, int64_t written,
						   KmsTallyEntry *entries);

/* That transaction has committed. */
extern void kms_tally_written(KmsTally *tally, int64_t written);

/* Pass over what has been added so far. */
extern void kms_tally_skip(KmsTally *tally);

#endif							/* KMS_SHMEM_TALLY_H */
