/*
 * The event ring: a bounded queue in plain memory with many producers and
 * one consumer.
 *
 * It knows neither locks nor PostgreSQL, takes no allocation and makes no
 * system call, so it is unit-tested and can be looked at after a crash.  The
 * memory is a mapped file (see events.h); positions count up from 0 for ever
 * and position p lives in slot p mod slots.
 *
 * A producer reserves the next position, fills the slot and commits it: what
 * is committed survives the death of every process.  The consumer reads from
 * the tail, and releases slots only when what it read is durable elsewhere.
 */
#ifndef KMS_SHMEM_RING_H
#define KMS_SHMEM_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmem/event.h"
#include "shmem/tally.h"

#define KMS_RING_FORMAT		3	/* changes with the layout of header or event */
#define KMS_RING_SLOT_SIZE	1344	/* bytes, in whole cache lines */
#define KMS_RING_PAGE		4096	/* bytes of the header's first part */
#define KMS_RING_ANCHOR_SIZE 1024	/* bytes of it, see shmem/anchor.h */
#define KMS_RING_HEADER_SIZE (KMS_RING_PAGE + KMS_TALLY_SIZE)	/* bytes */

/* Whose ring it is; compared as a whole when a file is opened. */
typedef struct KmsRingIdentity
{
	uint64_t	system_identifier;
	uint32_t	database_oid;
	uint32_t	extension_oid;
} KmsRingIdentity;

typedef struct KmsRing KmsRing; /* the header; slots follow it */

typedef struct KmsRingCounters
{
	uint64_t	head;			/* next position to be reserved */
	uint64_t	tail;			/* first position not released */
	uint64_t	slots;
	uint64_t	dropped;		/* events lost to a full ring, ever */
	uint64_t	counted;		/* events only counted, ever */
	uint64_t	damaged;		/* entries that failed their CRC, ever */
	uint64_t	abandoned;		/* reserved and never committed, ever */
} KmsRingCounters;

/* What gives way to what as the ring fills up. */
typedef enum KmsEventClass
{
	KMS_CLASS_OPENS,			/* a private operation was begun */
	KMS_CLASS_SERVES,			/* other work was done; up to 3/4 of the ring */
	KMS_CLASS_REFUSED			/* no work was done; up to 1/2 of the ring */
} KmsEventClass;

typedef enum KmsRingPush
{
	KMS_RING_PUSHED,
	KMS_RING_CROWDED,			/* no room for this class; see kms_ring_count */
	KMS_RING_FULL				/* no room at all; see kms_ring_drop */
} KmsRingPush;

typedef enum KmsRingRead
{
	KMS_RING_EVENT,
	KMS_RING_EMPTY,				/* nothing committed at this position yet */
	KMS_RING_DAMAGED,			/* fails its CRC: pass over, report */
	KMS_RING_ABANDONED			/* its producer died in it: pass over */
} KmsRingRead;

/* How many slots a ring of at most "bytes" has, and what that many take. */
extern size_t kms_ring_slots(size_t bytes);
extern size_t kms_ring_bytes(size_t slots);

/* Lay out an empty ring of "slots" with a random epoch in zeroed memory. */
extern void kms_ring_format(KmsRing *ring, size_t slots, int64_t epoch,
							const KmsRingIdentity *identity);

/*
 * How many bytes the file of this ring has to have, of which at least
 * KMS_RING_HEADER_SIZE are there; 0 if it is no ring of this version.
 */
extern size_t kms_ring_size(const KmsRing *ring);

/*
 * Whether "bytes" of memory hold a ring of this format, identity and of
 * consistent size and positions.
 */
extern bool kms_ring_valid(const KmsRing *ring, size_t bytes,
						   const KmsRingIdentity *identity);

/*
 * Must be called once, by one process alone, when every producer of an
 * earlier server generation is dead: positions reserved and never committed
 * are marked as abandoned, so that the consumer passes over them.  Does
 * nothing if the ring has been taken over for this generation already.
 * Returns how many were abandoned.
 */
extern uint64_t kms_ring_take_over(KmsRing *ring, uint64_t generation);

/*
 * A file may have been put back: then it is older than what was read of it.
 * From kms_ring_take_over to kms_ring_checked or kms_ring_renew this is true,
 * and *end is where the ring ended as it was found: what lies before *end was
 * in the file, the rest comes from producers of this generation.
 */
extern bool kms_ring_unchecked(const KmsRing *ring, uint64_t *end);
extern void kms_ring_checked(KmsRing *ring);

/*
 * Release what was in the file when it was found, and let the rest belong to
 * a new epoch.  Producers may be at work.
 */
extern void kms_ring_renew(KmsRing *ring, int64_t epoch);

/*
 * "boot" names the run of the operating system (0: not known).  What a ring
 * holds is what its producers left there if it was marked in this run, or
 * was marked closed when the server stopped and synced to disk; else the
 * machine went down under it, and the newest part may be missing.
 */
extern void kms_ring_mark(KmsRing *ring, uint64_t boot, bool closed);
extern bool kms_ring_intact(const KmsRing *ring, uint64_t boot);

extern int64_t kms_ring_epoch(const KmsRing *ring);
extern const KmsRingIdentity *kms_ring_identity(const KmsRing *ring);
extern void kms_ring_counters(const KmsRing *ring, KmsRingCounters *counters);

/*
 * Record an event; *position is where it is.  Safe from any number of
 * processes; never waits.  "claimed" slots are for opens alone: the other
 * classes leave them free.
 */
extern KmsRingPush kms_ring_push(KmsRing *ring, const KmsEvent *event,
								 KmsEventClass class, uint32_t claimed,
								 uint64_t *position);

/* Only count an event; or one that is lost because the ring is full. */
extern void kms_ring_count(KmsRing *ring, const KmsEvent *event);
extern void kms_ring_drop(KmsRing *ring);

/*
 * What was only counted, for the consumer.  Lost events are calls of
 * KMS_OP_GAP in it.
 */
extern KmsTally *kms_ring_tally(KmsRing *ring);

/* Whether the slot of a position has been released. */
extern bool kms_ring_released(const KmsRing *ring, uint64_t position);

/* Room in the header, zero in an empty ring, for who writes the trail. */
extern void *kms_ring_anchor(KmsRing *ring);

/* The one consumer's side. */
extern KmsRingRead kms_ring_read(KmsRing *ring, uint64_t position, KmsEvent *event);

/*
 * Release what lies before position "upto".  What the slots held is wiped, as
 * the file must not keep what the trail is told to forget.
 */
extern void kms_ring_release(KmsRing *ring, uint64_t upto);

#endif							/* KMS_SHMEM_RING_H */
