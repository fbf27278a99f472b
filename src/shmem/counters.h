/*
 * Counters of one database, for graphs: calls by operation and outcome, with
 * the histogram of their durations, and what became of their events.
 *
 * Like the tally, this is plain memory with many writers, without locks,
 * PostgreSQL or allocations.  It is part of KmsDatabase, in PostgreSQL's
 * shared memory.  counters.c describes who writes and who reads it.
 */
#ifndef KMS_SHMEM_COUNTERS_H
#define KMS_SHMEM_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmem/event.h"

/*
 * Bounds of the histogram: 16 us * 2^i.  They are every fourth bound of
 * kms.metric's histogram (store/histogram.h), from 16 us to 8.4 s.
 */
#define KMS_COUNTERS_BOUNDS 20
#define KMS_COUNTERS_LE_SIZE 16 /* bytes of a bound as text */

/* The counters that belong to no operation. */
typedef enum KmsCount
{
	KMS_COUNT_RECORDED,			/* events that were put into the ring */
	KMS_COUNT_DROPPED,			/* events lost to a full ring */
	KMS_COUNT_COUNTED_ONLY,		/* events of which the trail gets the number */
	KMS_COUNT_DAMAGED,			/* entries of the ring that failed their CRC */
	KMS_COUNT_WITHOUT_RING,		/* events that no ring could take */
	KMS_COUNT_REFUSED,			/* calls that ended with KM008 */
	KMS_COUNT_STANDBY_SUCCESSES,	/* calls on a standby */
	KMS_COUNT_STANDBY_FAILURES,
	KMS_COUNT_POOL_MISSED,		/* keys that sessions had to generate because
								 * the pool was empty */
	KMS_COUNT_WRONG_LANES		/* wrong results of multi-buffer RSA */
} KmsCount;

#define KMS_COUNTS (KMS_COUNT_WRONG_LANES + 1)

/* The calls of one operation with one outcome. */
typedef struct KmsCallCounters
{
	uint64_t	duration_us;	/* total of the calls with a duration */
	uint64_t	untimed;		/* calls that are in no bucket */
	uint64_t	buckets[KMS_COUNTERS_BOUNDS + 1];	/* not cumulative; the
													 * last one is beyond all
													 * bounds */
} KmsCallCounters;

typedef struct KmsCounters
{
	int64_t		since;			/* microseconds since 2000-01-01 UTC */
	uint64_t	counts[KMS_COUNTS];
	KmsCallCounters calls[KMS_OPERATION_COUNT][2];	/* failures, successes */
} KmsCounters;

/*
 * Set all counters to 0.  The caller makes sure that nobody copies them at the
 * same time.
 */
extern void kms_counters_reset(KmsCounters *counters, int64_t since);

/*
 * Count "calls" calls that took "duration_us" together, -1 if that is not
 * known.  Only the duration of a single call is put into the histogram.  Any
 * process may do that at any time.  An operation that is none, and a gap, are
 * not counted.
 */
extern void kms_counters_call(KmsCounters *counters, uint8_t operation,
							  bool succeeded, int64_t calls,
							  int64_t duration_us);

/* Add to one of the other counters. */
extern void kms_counters_add(KmsCounters *counters, KmsCount count,
							 uint64_t number);

/* Copy all of them, while others may count. */
extern void kms_counters_copy(const KmsCounters *counters, KmsCounters *copy);

/* Return the number of calls, and of those that are in a bucket. */
extern uint64_t kms_counters_calls(const KmsCallCounters *calls);
extern uint64_t kms_counters_timed(const KmsCallCounters *calls);

/* Return the name in kms.counters: "events_recorded", … */
extern const char *kms_counters_name(KmsCount count);

/*
 * Write the bound of a bucket, from 0, in seconds: "0.000016" to "8.388608",
 * and "+Inf" for the last one.
 */
extern void kms_counters_le(int bucket, char le[KMS_COUNTERS_LE_SIZE]);

/*
 * Return the first bucket, from 0, whose bound the duration does not exceed.
 */
extern int	kms_counters_bucket(int64_t duration_us);

#endif							/* KMS_SHMEM_COUNTERS_H */
