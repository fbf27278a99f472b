/* The event ring: several producers, one consumer, and what a crash leaves. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmem/ring.h"
#include "tap.h"

#define EPOCH INT64_C(4711)
#define GENERATION UINT64_C(17)

static const KmsRingIdentity identity = {0x1122334455667788, 5, 16384};

static KmsRing *
new_ring(size_t slots)
{
	size_t		size = kms_ring_bytes(slots);
	KmsRing    *ring = mmap(NULL, size, PROT_READ | PROT_WRITE,
							MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (ring == MAP_FAILED)
		abort();
	kms_ring_format(ring, slots, EPOCH, &identity);
	kms_ring_take_over(ring, GENERATION);
	return ring;
}

static void
free_ring(KmsRing *ring)
{
	KmsRingCounters counters;

	kms_ring_counters(ring, &counters);
	munmap(ring, kms_ring_bytes(counters.slots));
}

static KmsRingCounters
counters_of(const KmsRing *ring)
{
	KmsRingCounters counters;

	kms_ring_counters(ring, &counters);
	return counters;
}

/* An event that tells who pushed it as which. */
static KmsEvent
event_of(int producer, int64_t number)
{
	KmsEvent	event;

	memset(&event, 0, sizeof(event));
	event.occurred_at = number;
	event.duration_us = producer;
	event.operation = KMS_OP_DECRYPT;
	snprintf(event.device_id, sizeof(event.device_id), "device %d %lld",
			 producer, (long long) number);
	return event;
}

static bool
is_event_of(const KmsEvent *event, int producer, int64_t number)
{
	KmsEvent	expected = event_of(producer, number);

	return memcmp(event, &expected, sizeof(expected)) == 0;
}

static unsigned char *
slot_bytes(KmsRing *ring, size_t slot)
{
	return (unsigned char *) ring + KMS_RING_HEADER_SIZE +
		slot * KMS_RING_SLOT_SIZE;
}

static KmsRingPush
push(KmsRing *ring, int64_t number)
{
	KmsEvent	event = event_of(0, number);
	uint64_t	position;

	return kms_ring_push(ring, &event, KMS_CLASS_OPENS, 0, &position);
}

static KmsRingPush
push_as(KmsRing *ring, KmsEventClass class, uint32_t claimed)
{
	KmsEvent	event = event_of(0, 0);
	uint64_t	position;

	return kms_ring_push(ring, &event, class, claimed, &position);
}

static void
test_sizes(void)
{
	check_number(kms_ring_slots(0), 0, "no slots in no memory");
	check_number(kms_ring_slots(KMS_RING_HEADER_SIZE + KMS_RING_SLOT_SIZE - 1),
				 0, "no slots in less than one");
	check_number(kms_ring_slots(kms_ring_bytes(1)), 1, "one slot in one");
	check_number(kms_ring_slots(kms_ring_bytes(77) + 1000), 77,
				 "never more than fit");
}

static void
test_order_and_laps(void)
{
	KmsRing    *ring = new_ring(8);
	KmsEvent	event;
	int64_t		i;
	bool		good = true;

	check(kms_ring_read(ring, 0, &event) == KMS_RING_EMPTY,
		  "a new ring is empty");
	check_number(kms_ring_epoch(ring), EPOCH,
				 "a new ring has the given epoch");
	for (i = 0; i < 1000; i++)
	{
		good = good && push(ring, i) == KMS_RING_PUSHED;
		if (i % 3 == 2)
		{
			int64_t		p;

			for (p = i - 2; p <= i; p++)
				good = good &&
					kms_ring_read(ring, p, &event) == KMS_RING_EVENT &&
					is_event_of(&event, 0, p);
			good = good && kms_ring_read(ring, i + 1, &event) == KMS_RING_EMPTY;
			kms_ring_release(ring, i + 1);
		}
	}
	check(good, "events come in order, unchanged, over many laps");
	check(memmem(ring, kms_ring_bytes(counters_of(ring).slots), "device 0 998",
				 12) == NULL, "what is released is wiped");
	check(memmem(ring, kms_ring_bytes(counters_of(ring).slots), "device 0 999",
				 12) != NULL, "only the released slots are wiped");
	kms_ring_release(ring, 5);
	check_number(counters_of(ring).tail, 999, "a release never goes back");
	kms_ring_release(ring, 5000);
	check_number(counters_of(ring).tail, 1000,
				 "a release never goes beyond the head");
	free_ring(ring);
}

static void
test_full(void)
{
	KmsRing    *ring = new_ring(16);
	KmsEvent	event = event_of(0, 0);
	KmsTallyEntry entries[KMS_TALLY_CELLS];
	int			i;

	event.calls = 1;
	for (i = 0; i < 7; i++)
		push(ring, i);
	check(push_as(ring, KMS_CLASS_REFUSED, 0) == KMS_RING_PUSHED,
		  "a refused call is recorded below a half");
	check(push_as(ring, KMS_CLASS_REFUSED, 0) == KMS_RING_CROWDED,
		  "a refused call has no room from a half on");
	for (i = 8; i < 11; i++)
		push(ring, i);
	check(push_as(ring, KMS_CLASS_SERVES, 5) == KMS_RING_CROWDED,
		  "slots that opens have claimed are not for others");
	check(push_as(ring, KMS_CLASS_SERVES, 4) == KMS_RING_PUSHED,
		  "a call that serves is recorded below three quarters");
	check(push_as(ring, KMS_CLASS_SERVES, 0) == KMS_RING_CROWDED,
		  "a call that serves has no room from three quarters on");
	check(push_as(ring, KMS_CLASS_SERVES, 17) == KMS_RING_CROWDED,
		  "more claims than slots leave none");
	for (i = 12; i < 16; i++)
		push(ring, i);
	check(push(ring, 16) == KMS_RING_FULL, "a full ring takes nothing");
	check(push_as(ring, KMS_CLASS_REFUSED, 0) == KMS_RING_CROWDED &&
		  push_as(ring, KMS_CLASS_SERVES, 0) == KMS_RING_CROWDED,
		  "of the other classes neither");
	check_number(counters_of(ring).counted, 0, "nothing is counted by itself");
	check(kms_ring_count(ring, &event) && kms_ring_count(ring, &event),
		  "events are counted");
	check_number(counters_of(ring).counted, 2, "counted events are in the counter");
	event.calls = 7;
	kms_ring_drop(ring, &event);
	check_number(counters_of(ring).dropped, 1, "a dropped event is counted");
	check(kms_tally_take(kms_ring_tally(ring), 0, entries) == 2 &&
		  entries[0].operation == KMS_OP_DECRYPT && entries[0].status == 0 &&
		  entries[0].calls == 2 && entries[1].operation == KMS_OP_GAP &&
		  entries[1].calls == 7,
		  "counted events are told to the consumer");
	check(!kms_ring_released(ring, 0), "no slot has been released");
	kms_ring_release(ring, 1);
	check(kms_ring_released(ring, 0) && !kms_ring_released(ring, 1),
		  "a slot has been released");
	check(push(ring, 16) == KMS_RING_PUSHED, "a released slot is used again");
	check(kms_ring_read(ring, 16, &event) == KMS_RING_EVENT &&
		  is_event_of(&event, 0, 16),
		  "the released slot holds the pushed event");
	check(push(ring, 17) == KMS_RING_FULL, "only one slot was free");
	free_ring(ring);
}

static void
test_validity(void)
{
	KmsRing    *ring = new_ring(4);
	size_t		size = kms_ring_bytes(4);
	KmsRingIdentity other;
	size_t		i;
	bool		refused = true;
	unsigned char *bytes = (unsigned char *) ring;

	check(kms_ring_valid(ring, size, &identity), "a ring is valid");
	check(!kms_ring_valid(ring, size - 1, &identity) &&
		  !kms_ring_valid(ring, size + KMS_RING_SLOT_SIZE, &identity) &&
		  !kms_ring_valid(ring, 100, &identity),
		  "a ring is valid in its size only");
	other = identity;
	other.system_identifier++;
	check(!kms_ring_valid(ring, size, &other),
		  "a ring is not valid in another cluster");
	other = identity;
	other.database_oid++;
	check(!kms_ring_valid(ring, size, &other),
		  "a ring is not valid in another database");
	other = identity;
	other.extension_oid++;
	check(!kms_ring_valid(ring, size, &other),
		  "a ring is not valid for another extension");
	check(memcmp(kms_ring_identity(ring), &identity, sizeof(identity)) == 0,
		  "a ring tells which extension it belongs to");

	/* magic, format, slot size, slots, identity, event size, CRC */
	for (i = 0; i < 48; i++)
	{
		bytes[i] ^= 1;
		refused = refused && !kms_ring_valid(ring, size, &identity);
		bytes[i] ^= 1;
	}
	check(refused && kms_ring_valid(ring, size, &identity),
		  "a change of any byte of the fixed part is noticed");

	memset(bytes, 0, size);
	check(!kms_ring_valid(ring, size, &identity), "zeros are not valid");
	memset(bytes, 0xff, size);
	check(!kms_ring_valid(ring, size, &identity), "ones are not valid");
	munmap(ring, size);
}

static void
test_damage(void)
{
	KmsRing    *ring = new_ring(8);
	KmsEvent	event;
	int			i;

	for (i = 0; i < 4; i++)
		push(ring, i);
	slot_bytes(ring, 1)[200] ^= 0x40;
	check(kms_ring_read(ring, 0, &event) == KMS_RING_EVENT,
		  "before a damaged entry");
	check(kms_ring_read(ring, 1, &event) == KMS_RING_DAMAGED,
		  "a flipped bit is found");
	check(kms_ring_read(ring, 1, &event) == KMS_RING_DAMAGED, "again");
	check_number(counters_of(ring).damaged, 1,
				 "a damaged event is counted once");
	check(kms_ring_read(ring, 2, &event) == KMS_RING_EVENT,
		  "after a damaged entry");

	/* an entry of another position, whole */
	memcpy(slot_bytes(ring, 3) + 8, slot_bytes(ring, 2) + 8,
		   KMS_RING_SLOT_SIZE - 8);
	check(kms_ring_read(ring, 3, &event) == KMS_RING_DAMAGED,
		  "a copied entry is damage");

	/* a commit word that nobody can have written */
	push(ring, 4);
	memset(slot_bytes(ring, 4), 0x5a, 8);
	check(kms_ring_read(ring, 4, &event) == KMS_RING_DAMAGED,
		  "a wild commit word is damage");

	kms_ring_release(ring, 5);
	for (i = 5; i < 13; i++)
		push(ring, i);
	check(kms_ring_read(ring, 9, &event) == KMS_RING_EVENT &&
		  is_event_of(&event, 0, 9) &&
		  kms_ring_read(ring, 12, &event) == KMS_RING_EVENT,
		  "slots that held damage are used again");
	free_ring(ring);
}

static void
test_texts(void)
{
	KmsRing    *ring = new_ring(4);
	KmsEvent	event;
	uint64_t	position;
	bool		good;
	int			i;

	memset(&event, 'x', sizeof(event));
	kms_ring_push(ring, &event, KMS_CLASS_OPENS, 0, &position);
	good = kms_ring_read(ring, 0, &event) == KMS_RING_EVENT;
	for (i = 0; i < kms_event_field_count; i++)
	{
		const KmsEventField *field = &kms_event_fields[i];

		if (field->kind == KMS_FIELD_TEXT)
			good = good && memchr((const char *) &event + field->offset, '\0',
								  field->size) != NULL;
	}
	check(good, "every text that is read ends");
	check(strlen(event.key_id) == sizeof(event.key_id) - 1,
		  "a text loses at most its last byte");
	free_ring(ring);
}

static void
test_take_over(void)
{
	KmsRing    *ring = new_ring(8);
	KmsEvent	event;
	int			i;

	for (i = 0; i < 6; i++)
		push(ring, i);
	kms_ring_release(ring, 2);

	/* as if its producer had died before the commit, in a first lap */
	memset(slot_bytes(ring, 3), 0, 8);
	check(kms_ring_read(ring, 3, &event) == KMS_RING_EMPTY,
		  "an event that is not committed is not read");
	check_number(kms_ring_take_over(ring, GENERATION), 0,
				 "a ring is taken over once a generation");
	check_number(kms_ring_take_over(ring, GENERATION + 1), 1,
				 "an event that was not committed is abandoned");
	check(kms_ring_read(ring, 3, &event) == KMS_RING_ABANDONED,
		  "an abandoned event is skipped");
	check(kms_ring_read(ring, 2, &event) == KMS_RING_EVENT &&
		  kms_ring_read(ring, 4, &event) == KMS_RING_EVENT &&
		  kms_ring_read(ring, 5, &event) == KMS_RING_EVENT,
		  "committed events are there");
	check_number(counters_of(ring).damaged, 0, "abandoned is not damaged");
	check_number(counters_of(ring).abandoned, 1,
				 "abandoned events have a counter of their own");

	kms_ring_release(ring, 6);
	for (i = 6; i < 14; i++)
		push(ring, i);
	check(kms_ring_read(ring, 11, &event) == KMS_RING_EVENT &&
		  is_event_of(&event, 0, 11), "an abandoned slot is used again");
	free_ring(ring);
}

static void
test_renew(void)
{
	KmsRing    *ring = new_ring(8);
	KmsEvent	event;
	uint64_t	end;
	int			i;

	check(kms_ring_unchecked(ring, &end) && end == 0,
		  "a new ring is to be checked");
	kms_ring_checked(ring);
	check(!kms_ring_unchecked(ring, &end), "once");

	for (i = 0; i < 3; i++)
		push(ring, i);
	kms_ring_take_over(ring, GENERATION + 1);
	for (i = 3; i < 5; i++)
		push(ring, i);
	check(kms_ring_unchecked(ring, &end) && end == 3,
		  "a ring that is taken over tells what it held");
	kms_ring_renew(ring, EPOCH + 1);
	check_number(kms_ring_epoch(ring), EPOCH + 1,
				 "a ring can get a new epoch");
	check_number(counters_of(ring).tail, 3,
				 "the new epoch begins at the tail");
	check(kms_ring_read(ring, 3, &event) == KMS_RING_EVENT &&
		  is_event_of(&event, 0, 3), "the new epoch has the events since");
	check(!kms_ring_unchecked(ring, &end),
		  "a ring with a new epoch needs no check");
	check(kms_ring_valid(ring, kms_ring_bytes(8), &identity),
		  "the ring is valid");
	free_ring(ring);
}

/* Offsets of head and tail, which the header keeps on lines of their own. */
#define HEAD_OFFSET 128
#define TAIL_OFFSET 256

static void
test_stale_header(void)
{
	KmsRing    *ring = new_ring(8);
	KmsEvent	event;
	uint64_t	stale = 3;
	int			i;

	for (i = 0; i < 12; i++)
	{
		push(ring, i);
		if (i == 5)
			kms_ring_release(ring, 5);
	}
	memcpy((char *) ring + HEAD_OFFSET, &stale, sizeof(stale));
	memcpy((char *) ring + TAIL_OFFSET, &stale, sizeof(stale));
	kms_ring_take_over(ring, GENERATION + 1);
	check_number(counters_of(ring).head, 12,
				 "a header older than its entries is brought up to them");
	check_number(counters_of(ring).tail, 4, "the tail as far as needed");
	check(kms_ring_read(ring, 5, &event) == KMS_RING_EVENT &&
		  kms_ring_read(ring, 11, &event) == KMS_RING_EVENT &&
		  is_event_of(&event, 0, 11),
		  "the entries behind the header are read");
	check(kms_ring_read(ring, 4, &event) == KMS_RING_DAMAGED,
		  "released entries, which the tables have, are not read");
	check(kms_ring_valid(ring, kms_ring_bytes(8), &identity),
		  "the ring is valid");
	free_ring(ring);
}

static void
test_intact(void)
{
	KmsRing    *ring = new_ring(4);

	kms_ring_mark(ring, 99, false);
	check(kms_ring_intact(ring, 99),
		  "a ring is whole in the same run of the machine");
	check(!kms_ring_intact(ring, 100),
		  "a ring is not known to be whole in another run");
	check(kms_ring_intact(ring, 0),
		  "a ring of an unknown run is accepted as it is");
	kms_ring_mark(ring, 99, true);
	check(kms_ring_intact(ring, 100), "a ring that was closed is whole");
	free_ring(ring);
}

#define THREADS 4
#define EACH 20000

typedef struct Producer
{
	KmsRing    *ring;
	int			number;
} Producer;

static void *
produce(void *arg)
{
	Producer   *producer = arg;
	int64_t		i = 0;

	while (i < EACH)
	{
		KmsEvent	event = event_of(producer->number, i);
		uint64_t	position;

		if (kms_ring_push(producer->ring, &event, KMS_CLASS_OPENS, 0,
						  &position) == KMS_RING_PUSHED)
			i++;
		else
			usleep(10);
	}
	return NULL;
}

static void
test_threads(void)
{
	KmsRing    *ring = new_ring(64);
	pthread_t	threads[THREADS];
	Producer	producers[THREADS];
	int64_t		next[THREADS] = {0};
	uint64_t	position = 0;
	int			i;
	bool		good = true;

	for (i = 0; i < THREADS; i++)
	{
		producers[i].ring = ring;
		producers[i].number = i;
		if (pthread_create(&threads[i], NULL, produce, &producers[i]) != 0)
			abort();
	}
	while (position < THREADS * EACH && good)
	{
		KmsEvent	event;

		switch (kms_ring_read(ring, position, &event))
		{
			case KMS_RING_EMPTY:
				usleep(1);
				continue;
			case KMS_RING_EVENT:
				i = (int) event.duration_us;
				good = i >= 0 && i < THREADS &&
					is_event_of(&event, i, next[i]);
				if (good)
					next[i]++;
				break;
			default:
				good = false;
		}
		position++;
		if (position % 7 == 0)
			kms_ring_release(ring, position);
	}
	check(good, "each thread's events come in its order, none twice");
	kms_ring_release(ring, position);
	for (i = 0; i < THREADS; i++)
	{
		pthread_join(threads[i], NULL);
		good = good && next[i] == EACH;
	}
	check(good, "no event is missing");
	check_number(counters_of(ring).damaged, 0,
				 "no half-written event was read");
	free_ring(ring);
}

#define CHILDREN 3
#define ROUNDS 30

/*
 * Each child tells through shared memory how far its pushes were
 * acknowledged; then it is killed, somewhere.
 */
static void
test_killed_producers(void)
{
	KmsRing    *ring = new_ring(256);
	volatile int64_t *acknowledged;
	int64_t		next[CHILDREN] = {0};
	uint64_t	position = 0;
	uint64_t	abandoned = 0;
	int			round;
	int			c;
	bool		good = true;

	acknowledged = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
						MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (acknowledged == MAP_FAILED)
		abort();

	for (round = 0; round < ROUNDS && good; round++)
	{
		pid_t		pids[CHILDREN];
		uint64_t	start = position;

		for (c = 0; c < CHILDREN; c++)
		{
			pids[c] = fork();
			if (pids[c] < 0)
				abort();
			if (pids[c] == 0)
			{
				alarm(60);		/* if the parent fails */
				for (;;)
				{
					KmsEvent	event = event_of(c, acknowledged[c]);
					uint64_t	at;

					if (kms_ring_push(ring, &event, KMS_CLASS_OPENS, 0, &at) == KMS_RING_PUSHED)
						acknowledged[c]++;
				}
			}
		}

		/* a consumer at work until they die */
		while (position < start + 2000)
		{
			KmsEvent	event;

			if (kms_ring_read(ring, position, &event) != KMS_RING_EVENT)
			{
				usleep(1);
				continue;
			}
			c = (int) event.duration_us;
			good = good && is_event_of(&event, c, next[c]);
			next[c]++;
			kms_ring_release(ring, ++position);
		}
		for (c = 0; c < CHILDREN; c++)
			kill(pids[c], SIGKILL);
		for (c = 0; c < CHILDREN; c++)
			waitpid(pids[c], NULL, 0);

		abandoned += kms_ring_take_over(ring, GENERATION + 1 + round);
		for (; position < counters_of(ring).head; position++)
		{
			KmsEvent	event;
			KmsRingRead outcome = kms_ring_read(ring, position, &event);

			if (outcome == KMS_RING_ABANDONED)
				continue;
			good = good && outcome == KMS_RING_EVENT;
			if (!good)
				break;
			c = (int) event.duration_us;
			good = is_event_of(&event, c, next[c]);
			next[c]++;
		}
		kms_ring_release(ring, position);

		/* pushed and killed before it could say so: pushed all the same */
		for (c = 0; c < CHILDREN; c++)
		{
			good = good && (next[c] == acknowledged[c] ||
							next[c] == acknowledged[c] + 1);
			acknowledged[c] = next[c];
		}
	}
	check(good, "killed producers lose nothing acknowledged, and leave nothing half-written");
	check_number(counters_of(ring).abandoned, (long long) abandoned,
				 "what they were at is counted");
	printf("# %llu abandoned in %d rounds, %llu events\n",
		   (unsigned long long) abandoned, ROUNDS,
		   (unsigned long long) position);
	munmap((void *) acknowledged, 4096);
	free_ring(ring);
}

/* Numbers that look random and are the same each time (Knuth's MMIX). */
static uint64_t
next_number(void)
{
	static uint64_t state = 42;

	state = state * UINT64_C(6364136223846793005) +
		UINT64_C(1442695040888963407);
	return state >> 33;
}

/* Reading and taking over stay inside the memory, even if it holds garbage. */
static void
test_garbage(void)
{
	KmsRing    *ring = new_ring(32);
	int			round;
	bool		valid = true;

	for (round = 0; round < 200; round++)
	{
		KmsEvent	event;
		uint64_t	p;
		size_t		i;

		kms_ring_format(ring, 32, EPOCH, &identity);
		for (p = 0; p < 32; p++)
			push(ring, (int64_t) p);
		for (i = 0; i < 200; i++)
			slot_bytes(ring, 0)[next_number() % (32 * KMS_RING_SLOT_SIZE)] =
				(unsigned char) next_number();
		kms_ring_take_over(ring, (uint64_t) round + 100);
		valid = valid && kms_ring_valid(ring, kms_ring_bytes(32), &identity);
		for (p = counters_of(ring).tail; p < counters_of(ring).head; p++)
			if (kms_ring_read(ring, p, &event) == KMS_RING_EMPTY)
				valid = false;
	}
	check(valid, "garbage in entries leaves a valid ring that can be drained");
	free_ring(ring);
}

/* Any process may ask, and changes nothing by that. */
static void
test_oldest(void)
{
	KmsRing    *ring = new_ring(8);
	KmsEvent	event;

	check_number(kms_ring_oldest(ring), 0, "an empty ring has no oldest event");
	push(ring, 7);
	push(ring, 8);
	check_number(kms_ring_oldest(ring), 7, "the oldest event is the first one");
	((uint64_t *) slot_bytes(ring, 0))[0] = 0;
	check_number(kms_ring_oldest(ring), 8,
				 "an entry that is just being filled is skipped");
	((uint64_t *) slot_bytes(ring, 0))[0] = 1;
	kms_ring_release(ring, 1);
	check_number(kms_ring_oldest(ring), 8, "a released event does not count");
	check(kms_ring_read(ring, 1, &event) == KMS_RING_EVENT &&
		  counters_of(ring).damaged == 0, "the ring is as it was");
	kms_ring_release(ring, 2);
	check_number(kms_ring_oldest(ring), 0, "all events are released");
	free_ring(ring);
}

int
main(void)
{
	test_sizes();
	test_order_and_laps();
	test_full();
	test_oldest();
	test_validity();
	test_damage();
	test_texts();
	test_take_over();
	test_renew();
	test_stale_header();
	test_intact();
	test_threads();
	test_killed_producers();
	test_garbage();
	return tap_done();
}
