/*
 * The event ring; see docs/design/ring.md for the layout, the three steps of a
 * push (reserve, fill, commit) and the commit word of a slot.
 *
 * Producers change the head, and the slots that they have reserved; the
 * consumer changes the tail.  No locks are used.  Every byte that is read here
 * may be garbage, because the server's user can write the file: sizes are
 * checked once by kms_ring_valid, texts are terminated when they are read, and
 * a commit word that no producer can have written counts as damage.
 */
#include <string.h>

#include "shmem/ring.h"

#include "crypto/status.h"
#include "shmem/crc32c.h"

#define RING_MAGIC		UINT64_C(0x676e69722d736d6b)	/* "kms-ring" */
#define CACHE_LINES		128		/* two, because adjacent lines are fetched
								 * together */

#define OLDEST_LOOKS	64		/* slots in which the oldest event is looked
								 * for */

#define WORD_ABANDONED	(UINT64_C(1) << 63)
#define WORD_DAMAGED	(UINT64_C(1) << 62)
#define WORD_POSITION	(~(WORD_ABANDONED | WORD_DAMAGED))

/* The part that never changes after kms_ring_format; covered by its CRC. */
typedef struct RingFixed
{
	uint64_t	magic;
	uint32_t	format;
	uint32_t	slot_size;
	uint64_t	slots;
	KmsRingIdentity identity;
	uint32_t	event_size;
	uint32_t	crc;			/* of all fields before it */
} RingFixed;

struct KmsRing
{
	RingFixed	fixed;
	int64_t		epoch;
	uint64_t	generation;		/* the server generation that took it over */
	uint64_t	found;			/* 1 + head when taken over; 0 once checked */
	uint64_t	boot;			/* run of the operating system that used it */
	uint32_t	closed;			/* synced by a server that stopped */

	uint64_t	head __attribute__((aligned(CACHE_LINES)));
	uint64_t	tail __attribute__((aligned(CACHE_LINES)));
	uint64_t	dropped __attribute__((aligned(CACHE_LINES)));
	uint64_t	counted;
	uint64_t	damaged;
	uint64_t	abandoned;
};

typedef struct RingSlot
{
	uint64_t	word;			/* position + 1 and flags, written last */
	uint32_t	crc;
	uint32_t	format;
	KmsEvent	event;
} RingSlot;

#define ANCHOR_OFFSET	(KMS_RING_PAGE - KMS_RING_ANCHOR_SIZE)

typedef char header_fits[sizeof(KmsRing) <= ANCHOR_OFFSET ? 1 : -1];
typedef char slot_fits[sizeof(RingSlot) <= KMS_RING_SLOT_SIZE ? 1 : -1];

static uint64_t room_of(uint64_t slots, KmsEventClass class,
						uint32_t claimed);
static RingSlot *slot_of(const KmsRing *ring, uint64_t position);
static uint32_t event_crc(uint64_t position, const KmsEvent *event);

#define load(p)			__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)		__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define count(p)		((void) __atomic_fetch_add(p, 1, __ATOMIC_RELAXED))

size_t
kms_ring_slots(size_t bytes)
{
	if (bytes < KMS_RING_HEADER_SIZE + KMS_RING_SLOT_SIZE)
		return 0;
	return (bytes - KMS_RING_HEADER_SIZE) / KMS_RING_SLOT_SIZE;
}

size_t
kms_ring_bytes(size_t slots)
{
	return KMS_RING_HEADER_SIZE + slots * KMS_RING_SLOT_SIZE;
}

void
kms_ring_format(KmsRing *ring, size_t slots, int64_t epoch,
				const KmsRingIdentity *identity)
{
	memset(ring, 0, KMS_RING_HEADER_SIZE);
	ring->fixed.magic = RING_MAGIC;
	ring->fixed.format = KMS_RING_FORMAT;
	ring->fixed.slot_size = KMS_RING_SLOT_SIZE;
	ring->fixed.slots = slots;
	ring->epoch = epoch;
	ring->fixed.identity = *identity;
	ring->fixed.event_size = sizeof(KmsEvent);
	ring->fixed.crc = kms_crc32c(NULL, 0, &ring->fixed, offsetof(RingFixed, crc));
}

size_t
kms_ring_size(const KmsRing *ring)
{
	const RingFixed *fixed = &ring->fixed;

	if (fixed->magic != RING_MAGIC || fixed->format != KMS_RING_FORMAT ||
		fixed->crc != kms_crc32c(NULL, 0, fixed, offsetof(RingFixed, crc)))
		return 0;
	return kms_ring_bytes(fixed->slots);
}

bool
kms_ring_valid(const KmsRing *ring, size_t bytes,
			   const KmsRingIdentity *identity)
{
	const RingFixed *fixed = &ring->fixed;
	uint64_t	head;
	uint64_t	tail;

	if (bytes < KMS_RING_HEADER_SIZE + KMS_RING_SLOT_SIZE)
		return false;
	if (fixed->magic != RING_MAGIC || fixed->format != KMS_RING_FORMAT ||
		fixed->slot_size != KMS_RING_SLOT_SIZE ||
		fixed->event_size != sizeof(KmsEvent))
		return false;
	if (fixed->crc != kms_crc32c(NULL, 0, fixed, offsetof(RingFixed, crc)))
		return false;
	if (fixed->slots != kms_ring_slots(bytes) ||
		bytes != kms_ring_bytes(fixed->slots) || load(&ring->epoch) <= 0)
		return false;
	if (memcmp(&fixed->identity, identity, sizeof(KmsRingIdentity)) != 0)
		return false;

	/* Read the tail first, because producers may advance the head. */
	tail = load(&ring->tail);
	head = load(&ring->head);
	if (head < tail || (head & ~WORD_POSITION) != 0)
		return false;
	return head - tail <= fixed->slots || load(&ring->tail) != tail;
}

uint64_t
kms_ring_take_over(KmsRing *ring, uint64_t generation)
{
	uint64_t	slots = ring->fixed.slots;
	uint64_t	head = ring->head;
	uint64_t	tail = ring->tail;
	uint64_t	abandoned = 0;
	uint64_t	i;

	if (ring->generation == generation)
		return 0;

	/*
	 * After a crash of the machine the header on disk may be older than the
	 * slots: committed slots after the head are part of the ring.
	 */
	for (i = 0; i < slots; i++)
	{
		const RingSlot *slot = slot_of(ring, i);
		uint64_t	word = slot->word;

		if (word > head && (word & ~WORD_POSITION) == 0 &&
			(word - 1) % slots == i &&
			slot->format == KMS_RING_FORMAT &&
			slot->crc == event_crc(word - 1, &slot->event))
			head = word;
	}
	if (head - tail > slots)
		tail = head - slots;

	for (i = tail; i < head; i++)
	{
		RingSlot   *slot = slot_of(ring, i);

		if ((slot->word & WORD_POSITION) != i + 1)
		{
			store(&slot->word, (i + 1) | WORD_ABANDONED);
			abandoned++;
		}
	}
	ring->abandoned += abandoned;
	store(&ring->found, head + 1);
	store(&ring->tail, tail);
	store(&ring->head, head);
	store(&ring->generation, generation);
	return abandoned;
}

bool
kms_ring_unchecked(const KmsRing *ring, uint64_t *end)
{
	uint64_t	found = load(&ring->found);

	*end = found - 1;
	return found != 0;
}

void
kms_ring_checked(KmsRing *ring)
{
	store(&ring->found, 0);
}

/*
 * Set the epoch before the last step, so that a kill in between leaves a ring
 * that will be renewed.
 */
void
kms_ring_renew(KmsRing *ring, int64_t epoch)
{
	uint64_t	end;

	if (kms_ring_unchecked(ring, &end))
		kms_ring_release(ring, end);
	kms_tally_skip(kms_ring_tally(ring));
	store(&ring->epoch, epoch);
	kms_ring_checked(ring);
}

void
kms_ring_mark(KmsRing *ring, uint64_t boot, bool closed)
{
	store(&ring->boot, boot);
	store(&ring->closed, closed ? 1 : 0);
}

bool
kms_ring_intact(const KmsRing *ring, uint64_t boot)
{
	return boot == 0 || load(&ring->boot) == boot || load(&ring->closed) == 1;
}

int64_t
kms_ring_epoch(const KmsRing *ring)
{
	return load(&ring->epoch);
}

const KmsRingIdentity *
kms_ring_identity(const KmsRing *ring)
{
	return &ring->fixed.identity;
}

void
kms_ring_counters(const KmsRing *ring, KmsRingCounters *counters)
{
	counters->tail = load(&ring->tail);
	counters->head = load(&ring->head);
	counters->slots = ring->fixed.slots;
	counters->dropped = __atomic_load_n(&ring->dropped, __ATOMIC_RELAXED);
	counters->counted = __atomic_load_n(&ring->counted, __ATOMIC_RELAXED);
	counters->damaged = __atomic_load_n(&ring->damaged, __ATOMIC_RELAXED);
	counters->abandoned = __atomic_load_n(&ring->abandoned, __ATOMIC_RELAXED);
}

KmsRingPush
kms_ring_push(KmsRing *ring, const KmsEvent *event, KmsEventClass class,
			  uint32_t claimed, uint64_t *position)
{
	uint64_t	slots = ring->fixed.slots;
	uint64_t	room = room_of(slots, class, claimed);
	uint64_t	head = load(&ring->head);
	RingSlot   *slot;

	for (;;)
	{
		uint64_t	tail = load(&ring->tail);

		if (head < tail)
		{
			/* Our head is outdated: the consumer has passed it. */
			head = load(&ring->head);
			continue;
		}
		if (head - tail >= room)
			return class == KMS_CLASS_OPENS ? KMS_RING_FULL
				: KMS_RING_CROWDED;
		if (__atomic_compare_exchange_n(&ring->head, &head, head + 1, false,
										__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			break;
	}

	slot = slot_of(ring, head);
	memcpy(&slot->event, event, sizeof(KmsEvent));
	slot->format = KMS_RING_FORMAT;
	slot->crc = event_crc(head, event);
	store(&slot->word, head + 1);
	*position = head;
	return KMS_RING_PUSHED;
}

bool
kms_ring_count(KmsRing *ring, const KmsEvent *event)
{
	if (!kms_tally_add(kms_ring_tally(ring), event->operation, event->status,
					   event->calls, event->duration_us))
		return false;
	count(&ring->counted);
	return true;
}

/* Always use the same status; which one does not matter. */
void
kms_ring_drop(KmsRing *ring, const KmsEvent *event)
{
	(void) kms_tally_add(kms_ring_tally(ring), KMS_OP_GAP, KMS_FAILED,
						 event->calls, 0);
	count(&ring->dropped);
}

KmsTally *
kms_ring_tally(KmsRing *ring)
{
	return (KmsTally *) ((char *) ring + KMS_RING_PAGE);
}

/* A slot that is being released may be wiped already; then it is 0. */
int64_t
kms_ring_oldest(const KmsRing *ring)
{
	uint64_t	position = load(&ring->tail);
	uint64_t	end = position + OLDEST_LOOKS;

	for (; position < end && position < load(&ring->head); position++)
	{
		const RingSlot *slot = slot_of(ring, position);

		if (load(&slot->word) == position + 1)
		{
			int64_t		occurred_at = load(&slot->event.occurred_at);

			if (occurred_at != 0 && load(&ring->tail) <= position)
				return occurred_at;
		}
	}
	return 0;
}

bool
kms_ring_released(const KmsRing *ring, uint64_t position)
{
	return load(&ring->tail) > position;
}

KmsRingRead
kms_ring_read(KmsRing *ring, uint64_t position, KmsEvent *event)
{
	RingSlot   *slot = slot_of(ring, position);
	uint64_t	word;
	uint64_t	slots = ring->fixed.slots;

	if (position >= load(&ring->head))
		return KMS_RING_EMPTY;

	word = load(&slot->word);
	if ((word & WORD_POSITION) != position + 1)
	{
		uint64_t	earlier = word & WORD_POSITION;

		if (earlier == 0 && word == 0)
			return KMS_RING_EMPTY;
		if (earlier != 0 && earlier < position + 1 &&
			(position + 1 - earlier) % slots == 0)
			return KMS_RING_EMPTY;
	}
	else if (word & WORD_ABANDONED)
		return KMS_RING_ABANDONED;
	else if (word & WORD_DAMAGED)
		return KMS_RING_DAMAGED;
	else
	{
		memcpy(event, &slot->event, sizeof(KmsEvent));
		if (slot->format == KMS_RING_FORMAT &&
			slot->crc == event_crc(position, event))
		{
			kms_event_terminate(event);
			return KMS_RING_EVENT;
		}
		memset(event, 0, sizeof(KmsEvent));
	}

	store(&slot->word, (position + 1) | WORD_DAMAGED);
	count(&ring->damaged);
	return KMS_RING_DAMAGED;
}

void
kms_ring_release(KmsRing *ring, uint64_t upto)
{
	uint64_t	head = load(&ring->head);
	uint64_t	tail = load(&ring->tail);
	uint64_t	i;

	if (upto > head)
		upto = head;
	if (upto <= tail)
		return;

	/* No producer touches these slots until the tail has moved. */
	for (i = tail; i < upto; i++)
		memset(&slot_of(ring, i)->event, 0, sizeof(KmsEvent));
	store(&ring->tail, upto);
}

void *
kms_ring_anchor(KmsRing *ring)
{
	return (char *) ring + ANCHOR_OFFSET;
}

/*
 * Return how many slots may be in use before an event of this class has no
 * room.
 */
static uint64_t
room_of(uint64_t slots, KmsEventClass class, uint32_t claimed)
{
	uint64_t	room;

	if (class == KMS_CLASS_OPENS)
		return slots;
	if (claimed > slots)
		return 0;
	room = class == KMS_CLASS_SERVES ? slots - slots / 4 : slots / 2;
	return slots - claimed < room ? slots - claimed : room;
}

static RingSlot *
slot_of(const KmsRing *ring, uint64_t position)
{
	return (RingSlot *) ((char *) ring + KMS_RING_HEADER_SIZE +
						 (position % ring->fixed.slots) * KMS_RING_SLOT_SIZE);
}

static uint32_t
event_crc(uint64_t position, const KmsEvent *event)
{
	uint64_t	prefix[2];

	prefix[0] = position;
	prefix[1] = KMS_RING_FORMAT;
	return kms_crc32c(prefix, sizeof(prefix), event, sizeof(KmsEvent));
}
