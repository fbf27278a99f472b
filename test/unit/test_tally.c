/* The tally: many producers, one consumer, and kills at every point. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shmem/tally.h"
#include "tap.h"

#define PRODUCERS	4
#define ADDS		20000

static uint64_t memory[KMS_TALLY_SIZE / 8];
static KmsTallyEntry entries[KMS_TALLY_CELLS];

static KmsTally *
new_tally(void)
{
	memset(memory, 0, sizeof(memory));
	return (KmsTally *) memory;
}

static void
test_counts(void)
{
	KmsTally   *tally = new_tally();

	check(!kms_tally_pending(tally), "nothing is pending in an empty tally");
	check_number(kms_tally_take(tally, 0, entries), 0,
				 "nothing is taken from an empty tally");
	check(kms_tally_add(tally, 6, 32, 1, 10) &&
		  kms_tally_add(tally, 6, 33, 1, -1) &&
		  kms_tally_add(tally, 6, 32, 2, 5) &&
		  kms_tally_add(tally, 255, 255, 1, 0), "counts are added");
	check(kms_tally_pending(tally), "added counts are pending");
	check(kms_tally_take(tally, 0, entries) == 3 &&
		  entries[0].operation == 6 && entries[0].status == 32 &&
		  entries[0].calls == 3 && entries[0].duration_us == 15 &&
		  entries[1].status == 33 && entries[1].calls == 1 &&
		  entries[1].duration_us == 0 &&
		  entries[2].operation == 255 && entries[2].status == 255,
		  "counts are taken by operation and status, with the known time");
	check(kms_tally_pending(tally),
		  "counts are pending until they are written");
	kms_tally_written(tally, 1);
	check(!kms_tally_pending(tally), "written counts are not pending");
	check_number(kms_tally_take(tally, 1, entries), 0,
				 "written counts are not taken again");
	kms_tally_written(tally, 2);
	(void) kms_tally_add(tally, 6, 32, 1, 1);
	check(kms_tally_take(tally, 2, entries) == 1 && entries[0].calls == 1 &&
		  entries[0].duration_us == 1, "what is added later is taken alone");
}

/* A take that is never written, with the tables before or behind it. */
static void
test_kills(void)
{
	KmsTally   *tally = new_tally();

	(void) kms_tally_add(tally, 1, 1, 5, 0);
	(void) kms_tally_take(tally, 0, entries);
	(void) kms_tally_add(tally, 1, 1, 1, 0);
	check(kms_tally_take(tally, 0, entries) == 1 && entries[0].calls == 6,
		  "counts that no transaction has committed are taken again");
	(void) kms_tally_add(tally, 1, 1, 1, 0);
	check(kms_tally_pending(tally) &&
		  kms_tally_take(tally, 1, entries) == 1 && entries[0].calls == 1,
		  "counts that a transaction has committed are not taken again");
	kms_tally_written(tally, 2);
	check(!kms_tally_pending(tally), "no count is left");

	(void) kms_tally_add(tally, 1, 1, 1, 0);
	(void) kms_tally_take(tally, 2, entries);
	check(kms_tally_take(tally, 3, entries) == 0 && kms_tally_pending(tally) ==
		  false, "a kill after the commit leaves nothing to be written");
	kms_tally_written(tally, 4);

	(void) kms_tally_add(tally, 1, 1, 9, 0);
	kms_tally_skip(tally);
	check(!kms_tally_pending(tally) && kms_tally_take(tally, 0, entries) == 0,
		  "skipped counts are never taken");
}

static void
test_full(void)
{
	KmsTally   *tally = new_tally();
	bool		good = true;
	int			i;

	for (i = 0; i < KMS_TALLY_CELLS; i++)
		good = good && kms_tally_add(tally, (uint8_t) (i / 64),
									 (uint8_t) (i % 64), 1, 0);
	check(good, "there is a cell for each of many pairs");
	check(!kms_tally_add(tally, 200, 1, 1, 0),
		  "there is no cell for a further pair");
	check(kms_tally_add(tally, 0, 0, 1, 0),
		  "pairs that have a cell are still counted");
	check_number(kms_tally_take(tally, 0, entries), KMS_TALLY_CELLS,
				 "all pairs are taken");
}

static void *
produce(void *arg)
{
	KmsTally   *tally = arg;
	int			i;

	for (i = 0; i < ADDS; i++)
		(void) kms_tally_add(tally, (uint8_t) (i % 7), 1, 1, 1);
	return NULL;
}

/* The consumer is killed in one of three places as often as not. */
static void
test_producers(void)
{
	KmsTally   *tally = new_tally();
	pthread_t	threads[PRODUCERS];
	int64_t		stored = 0;
	int64_t		calls = 0;
	int64_t		duration = 0;
	int			round;
	int			i;

	for (i = 0; i < PRODUCERS; i++)
		(void) pthread_create(&threads[i], NULL, produce, tally);
	for (round = 0; round < 3000; round++)
	{
		int			count = kms_tally_take(tally, stored, entries);

		if (round % 3 == 0)
			continue;			/* before the commit */
		for (i = 0; i < count; i++)
		{
			calls += entries[i].calls;
			duration += entries[i].duration_us;
		}
		stored++;
		if (round % 3 == 1)
			kms_tally_written(tally, stored);
	}
	for (i = 0; i < PRODUCERS; i++)
		(void) pthread_join(threads[i], NULL);
	for (i = kms_tally_take(tally, stored, entries); i > 0; i--)
	{
		calls += entries[i - 1].calls;
		duration += entries[i - 1].duration_us;
	}
	check_number(calls, PRODUCERS * ADDS, "each call is told of once");
	check_number(duration, PRODUCERS * ADDS,
				 "the duration of each call is counted once");
}

int
main(void)
{
	test_counts();
	test_kills();
	test_full();
	test_producers();
	return tap_done();
}
