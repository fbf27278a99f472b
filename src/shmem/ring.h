/*
 * The event ring: a bounded queue in plain memory with many producers and one
 * consumer.
 *
 * The code uses neither locks nor PostgreSQL, allocates nothing and makes no
 * system call, so it can be unit-tested and used after a crash.  The memory is
 * a mapped file (ring_file.h).  Positions count up from 0 for ever, and
 * position p is in slot p mod slots.  docs/design/ring.md describes the
 * design.
 *
 * A producer reserves the next position, fills the slot and commits it; a
 * committed event survives the death of every process.  The consumer reads
 * from the tail, and releases slots only after what it read is durable
 * elsewhere.
 */
#ifndef KMS_SHMEM_RING_H
#define KMS_SHMEM_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shmem/event.h"
#include "shmem/tally.h"

#define KMS_RING_FORMAT		4	/* version of the layout of header and event */
#define KMS_RING_SLOT_SIZE	1408	/* bytes, in whole cache lines */
#define KMS_RING_PAGE		4096	/* bytes of the header's first part */
#define KMS_RING_ANCHOR_SIZE 1024	/* bytes of it, see shmem/anchor.h */
#define KMS_RING_HEADER_SIZE (KMS_RING_PAGE + KMS_TALLY_SIZE)	/* bytes */

/* The owner of a ring; compared as a whole when a file is opened. */
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

/* The class of an event, which decides how far the ring may be filled. */
typedef enum KmsEventClass
{
	KMS_CLASS_OPENS,			/* a private operation was begun */
	KMS_CLASS_SERVES,			/* other work was done: 3/4 of the ring */
	KMS_CLASS_REFUSED			/* no work was done: 1/2 of the ring */
} KmsEventClass;

typedef enum KmsRingPush
{
	KMS_RING_PUSHED,
	KMS_RING_CROWDED,			/* no room for this class: kms_ring_count */
	KMS_RING_FULL				/* no room at all: kms_ring_drop */
} KmsRingPush;

typedef enum KmsRingRead
{
	KMS_RING_EVENT,
	KMS_RING_EMPTY,				/* nothing committed at this position yet */
	KMS_RING_DAMAGED,			/* fails its CRC: skip and report it */
	KMS_RING_ABANDONED			/* its producer died: skip it */
} KmsRingRead;

/*
 * Return how many slots a ring of at most "bytes" has, and how many bytes a
 * ring of "slots" takes.
 */
extern size_t kms_ring_slots(size_t bytes);
extern size_t kms_ring_bytes(size_t slots);

/* Initialize an empty ring in zeroed memory.  "epoch" is random. */
extern void kms_ring_format(KmsRing *ring, size_t slots, int64_t epoch,
							const KmsRingIdentity *identity);

/*
 * Return the size in bytes that the file of this ring must have, or 0 if this
 * is no ring of this version.  At least KMS_RING_HEADER_SIZE bytes must be
 * readable.
 */
extern size_t kms_ring_size(const KmsRing *ring);

/*
 * Return true if "bytes" of memory hold a ring of this format and identity,
 * with consistent size and positions.
 */
extern bool kms_ring_valid(const KmsRing *ring, size_t bytes,
						   const KmsRingIdentity *identity);

/*
 * Take the ring over for a new server generation.  One process must do that
 * alone, when every producer of earlier generations is dead.
 *
 * Positions that were reserved and never committed are marked as abandoned, so
 * that the consumer skips them.  Return how many.  If the ring was taken over
 * for this generation already, do nothing and return 0.
 */
extern uint64_t kms_ring_take_over(KmsRing *ring, uint64_t generation);

/*
 * Return true from kms_ring_take_over until kms_ring_checked or
 * kms_ring_renew.
 *
 * The ring file may have been restored from a backup and so be older than the
 * tables.  *end is the end of the ring as it was found: positions before *end
 * were in the file, later ones come from producers of this generation.
 */
extern bool kms_ring_unchecked(const KmsRing *ring, uint64_t *end);
extern void kms_ring_checked(KmsRing *ring);

/*
 * Release all events that were in the file when it was found, and continue
 * with the later ones under a new epoch.  Producers may be active.
 */
extern void kms_ring_renew(KmsRing *ring, int64_t epoch);

/*
 * Record, or check, whether a ring is complete.
 *
 * "boot" is the run of the operating system (0 if not known).  A ring is
 * intact if it was marked in this run, or was marked closed when the server
 * stopped and synced it, or if the run is not known.  Otherwise the machine
 * has crashed since, and the newest events may be missing.
 */
extern void kms_ring_mark(KmsRing *ring, uint64_t boot, bool closed);
extern bool kms_ring_intact(const KmsRing *ring, uint64_t boot);

extern int64_t kms_ring_epoch(const KmsRing *ring);
extern const KmsRingIdentity *kms_ring_identity(const KmsRing *ring);
extern void kms_ring_counters(const KmsRing *ring, KmsRingCounters *counters);

/*
 * Record an event, and set *position.  Any number of processes may do that at
 * the same time; never waits.  "claimed" slots are reserved for the class
 * KMS_CLASS_OPENS: the other classes leave them free.
 */
extern KmsRingPush kms_ring_push(KmsRing *ring, const KmsEvent *event,
								 KmsEventClass class, uint32_t claimed,
								 uint64_t *position);

/*
 * Count an event without recording it, or count an event that is lost because
 * the ring is full.  The consumer gets the number of calls of both.
 * kms_ring_count returns false if it has no room for a count of this kind.
 */
extern bool kms_ring_count(KmsRing *ring, const KmsEvent *event);
extern void kms_ring_drop(KmsRing *ring, const KmsEvent *event);

/*
 * Return the counts of events that were not recorded, for the consumer.  Lost
 * events are counted there as KMS_OP_GAP.
 */
extern KmsTally *kms_ring_tally(KmsRing *ring);

/*
 * Return when the oldest event occurred that is not released; 0 if there is
 * none, or none of the first ones is complete.  Any process may ask.
 */
extern int64_t kms_ring_oldest(const KmsRing *ring);

/* Return true if the slot of a position has been released. */
extern bool kms_ring_released(const KmsRing *ring, uint64_t position);

/*
 * Return KMS_RING_ANCHOR_SIZE bytes in the header for the anchor; zero in an
 * empty ring.
 */
extern void *kms_ring_anchor(KmsRing *ring);

/* The one consumer's side. */
extern KmsRingRead kms_ring_read(KmsRing *ring, uint64_t position, KmsEvent *event);

/*
 * Release all positions before "upto".  The events in the slots are wiped,
 * because the file must not keep what the trail is told to forget.
 */
extern void kms_ring_release(KmsRing *ring, uint64_t upto);

#endif							/* KMS_SHMEM_RING_H */
