/* The counters of a database: where calls are counted, what a reader sees. */
#include <pthread.h>
#include <string.h>

#include "shmem/counters.h"
#include "store/histogram.h"
#include "tap.h"

#define WRITERS	4
#define CALLS	20000

static KmsCounters counters;
static KmsCounters copy;

static void
count(uint8_t operation, bool succeeded, int64_t calls, int64_t duration_us)
{
	kms_counters_call(&counters, operation, succeeded, calls, duration_us);
	kms_counters_copy(&counters, &copy);
}

static void
test_calls(void)
{
	const KmsCallCounters *decrypts = &copy.calls[KMS_OP_DECRYPT][1];
	const KmsCallCounters *failures = &copy.calls[KMS_OP_DECRYPT][0];

	kms_counters_reset(&counters, 77);
	count(KMS_OP_DECRYPT, true, 1, 16);
	count(KMS_OP_DECRYPT, true, 1, 17);
	count(KMS_OP_DECRYPT, false, 1, 0);
	check(kms_counters_calls(decrypts) == 2 && kms_counters_timed(decrypts) == 2 &&
		  decrypts->duration_us == 33 && decrypts->buckets[0] == 1 &&
		  decrypts->buckets[1] == 1, "calls are in the buckets of their duration");
	check(kms_counters_calls(failures) == 1 && failures->duration_us == 0 &&
		  failures->buckets[0] == 1, "failures are counted apart");

	count(KMS_OP_DECRYPT, true, 5, 100);
	check(kms_counters_calls(decrypts) == 7 && kms_counters_timed(decrypts) == 2 &&
		  decrypts->duration_us == 133,
		  "the time of several calls is added up, and in no bucket");
	count(KMS_OP_DECRYPT, true, 1, -1);
	check(kms_counters_calls(decrypts) == 8 && kms_counters_timed(decrypts) == 2 &&
		  decrypts->duration_us == 133, "an unknown time is in no bucket");
	check_number(copy.since, 77, "counting began at the reset");
}

/* An event may come from anywhere; it must not write elsewhere. */
static void
test_what_is_no_call(void)
{
	KmsCounters before;

	kms_counters_copy(&counters, &before);
	count(0, true, 1, 1);
	count(KMS_OP_GAP, false, 3, 1);
	count(KMS_OPERATION_COUNT, true, 1, 1);
	count(255, true, 1, 1);
	count(KMS_OP_DECRYPT, true, 0, 1);
	count(KMS_OP_DECRYPT, true, -1, 1);
	check(memcmp(&before, &copy, sizeof(copy)) == 0,
		  "a gap, an unknown operation and no call are not counted");
}

static void
test_others(void)
{
	int			i;
	int			named = 0;
	int			right = 0;

	kms_counters_reset(&counters, 1);
	for (i = 0; i < KMS_COUNTS; i++)
		kms_counters_add(&counters, (KmsCount) i, (uint64_t) i + 1);
	kms_counters_copy(&counters, &copy);
	for (i = 0; i < KMS_COUNTS; i++)
	{
		right += copy.counts[i] == (uint64_t) i + 1;
		named += kms_counters_name((KmsCount) i) != NULL;
	}
	check_number(right, KMS_COUNTS, "each counter has a place of its own");
	check_number(named, KMS_COUNTS, "each counter has a name");
	kms_counters_reset(&counters, 2);
	kms_counters_copy(&counters, &copy);
	copy.since = 0;
	for (i = 0; i < (int) sizeof(copy); i++)
		if (((char *) &copy)[i] != 0)
			break;
	check_number(i, (int) sizeof(copy), "a reset empties everything");
}

/* The bounds are every fourth of kms.metric's histogram. */
static void
test_bounds(void)
{
	int			same = 0;
	int			tested = 0;
	int			bound;
	char		le[KMS_COUNTERS_LE_SIZE];

	for (bound = 0; bound < KMS_COUNTERS_BOUNDS; bound++)
	{
		int64_t		us = INT64_C(16) << bound;
		int64_t		around;

		tested++;
		same += kms_histogram_bound(1 + 4 * bound) * 1000.0 == (double) us;
		for (around = us - 1; around <= us + 1; around++)
		{
			int			fine = kms_histogram_bucket(around);

			tested++;
			same += kms_counters_bucket(around) ==
				(fine + 2) / 4;
		}
	}
	check_number(same, tested, "the bounds are those of kms.metric");
	check(kms_counters_bucket(-5) == 0 && kms_counters_bucket(0) == 0 &&
		  kms_counters_bucket(INT64_MAX) == KMS_COUNTERS_BOUNDS,
		  "every duration has a bucket");
	kms_counters_le(0, le);
	check(strcmp(le, "0.000016") == 0, "the first bound is 16 us");
	kms_counters_le(16, le);
	check(strcmp(le, "1.048576") == 0, "a bound above a second has all digits");
	kms_counters_le(KMS_COUNTERS_BOUNDS - 1, le);
	check(strcmp(le, "8.388608") == 0, "the last bound is 8.4 s");
	kms_counters_le(KMS_COUNTERS_BOUNDS, le);
	check(strcmp(le, "+Inf") == 0, "no bound is +Inf");
}

static void *
write_calls(void *arg)
{
	int			i;

	(void) arg;
	for (i = 0; i < CALLS; i++)
		kms_counters_call(&counters, KMS_OP_ENCRYPT, true, 1, i % 40);
	return NULL;
}

static void
test_writers(void)
{
	pthread_t	threads[WRITERS];
	const KmsCallCounters *encrypts = &copy.calls[KMS_OP_ENCRYPT][1];
	uint64_t	last = 0;
	bool		fell = false;
	int			i;

	kms_counters_reset(&counters, 1);
	for (i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, write_calls, NULL);
	while (last < WRITERS * CALLS / 2)
	{
		kms_counters_copy(&counters, &copy);
		fell = fell || kms_counters_calls(encrypts) < last;
		last = kms_counters_calls(encrypts);
	}
	for (i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	kms_counters_copy(&counters, &copy);
	check(!fell, "a reader sees no count fall");
	check(kms_counters_calls(encrypts) == WRITERS * CALLS &&
		  encrypts->duration_us == WRITERS * (uint64_t) CALLS / 40 * 780,
		  "no call of several writers is lost");
}

int
main(void)
{
	test_calls();
	test_what_is_no_call();
	test_others();
	test_bounds();
	test_writers();
	return tap_done();
}
