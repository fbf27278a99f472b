#include <stdlib.h>

#include "shmem/attempts.h"
#include "tap.h"

/* A subject; those of one "bucket" meet where there are 8. */
static const unsigned char *
subject(int bucket, int n)
{
	static unsigned char digest[KMS_ATTEMPT_SUBJECT_SIZE];

	memset(digest, 0, sizeof(digest));
	digest[0] = (unsigned char) bucket;
	digest[15] = (unsigned char) n;
	return digest;
}

static KmsAttempts *
new_log(uint64_t entries)
{
	KmsAttempts *log = calloc(1, kms_attempts_bytes(entries));

	kms_attempts_format(log, entries);
	return log;
}

static int
count(const KmsAttempts *log, const unsigned char *who, int64_t now,
	  int64_t window, int limit)
{
	int64_t		free_at;

	return kms_attempts_count(log, who, now, window, limit, &free_at);
}

static void
test_window(void)
{
	KmsAttempts *log = new_log(8);
	int64_t		free_at = -1;

	check(kms_attempts_count(log, subject(1, 1), 1000, 100, 3, &free_at) == 0 &&
		  free_at == 0, "a new log is empty");
	kms_attempts_add(log, subject(1, 1), 1000);
	kms_attempts_add(log, subject(1, 1), 1010);
	kms_attempts_add(log, subject(1, 1), 1020);
	check(kms_attempts_count(log, subject(1, 1), 1020, 100, 4, &free_at) == 3 &&
		  free_at == 0, "all attempts are counted below the limit");
	check(kms_attempts_count(log, subject(1, 1), 1020, 100, 3, &free_at) == 3 &&
		  free_at == 1100, "at the limit, the oldest leaves first");
	check(kms_attempts_count(log, subject(1, 1), 1020, 100, 2, &free_at) == 2 &&
		  free_at == 1110, "no more than the limit is counted");
	check_number(count(log, subject(1, 1), 1099, 100, 3), 3,
				 "the attempt counts just before it leaves the window");
	check_number(count(log, subject(1, 1), 1100, 100, 3), 2,
				 "the attempt leaves the window");
	check_number(count(log, subject(1, 1), 1119, 100, 3), 1,
				 "only the last attempt is left");
	check_number(count(log, subject(1, 1), 1120, 100, 3), 0,
				 "no attempt is left");
	kms_attempts_add(log, subject(1, 1), 1130);
	check_number(count(log, subject(1, 1), 1130, 1000, 9), 4,
				 "a longer window looks further back");
	free(log);
}

static void
test_buckets(void)
{
	KmsAttempts *log = new_log(8);
	int			i;

	for (i = 0; i < 6; i++)
		kms_attempts_add(log, subject(i < 3 ? 1 : 9, i % 2), 10 + i);
	check_number(count(log, subject(1, 0), 20, 100, 9), 2,
				 "subjects of a bucket are told apart");
	check_number(count(log, subject(1, 1), 20, 100, 9), 1,
				 "another subject of the bucket is counted by itself");
	check_number(count(log, subject(9, 1), 20, 100, 9), 2,
				 "so are subjects with another number");
	check_number(count(log, subject(2, 0), 20, 100, 9), 0,
				 "a bucket of nobody");
	free(log);
}

/* The ring has room for one less than its entries. */
static void
test_wrap(void)
{
	KmsAttempts *log = new_log(8);
	int			i;
	bool		ok = true;

	for (i = 0; i < 7; i++)
		kms_attempts_add(log, subject(1, 1), 10 + i);
	check_number(count(log, subject(1, 1), 20, 100, 99), 7, "a full ring");
	kms_attempts_add(log, subject(2, 1), 18);
	check_number(count(log, subject(1, 1), 20, 100, 99), 6,
				 "the oldest gives way");
	check_number(count(log, subject(2, 1), 20, 100, 99), 1,
				 "the newest attempt stays");
	for (i = 0; i < 5; i++)
		kms_attempts_add(log, subject(2, 1), 19);
	check_number(count(log, subject(1, 1), 20, 100, 99), 1,
				 "one attempt is left");
	kms_attempts_add(log, subject(2, 1), 20);
	check_number(count(log, subject(1, 1), 20, 100, 99), 0,
				 "what was overwritten is not counted");

	for (i = 0; i < 10000; i++)
	{
		kms_attempts_add(log, subject(i % 3, i % 2), 100 + i);
		ok = ok && count(log, subject(i % 3, i % 2), 100 + i, 1, 99) == 1;
	}
	check(ok, "ten thousand later");
	check_number(count(log, subject(0, 0), 10099, 100000, 99) +
				 count(log, subject(0, 1), 10099, 100000, 99) +
				 count(log, subject(1, 0), 10099, 100000, 99) +
				 count(log, subject(1, 1), 10099, 100000, 99) +
				 count(log, subject(2, 0), 10099, 100000, 99) +
				 count(log, subject(2, 1), 10099, 100000, 99), 7,
				 "the ring is full and no more");
	free(log);
}

/*
 * A process may be killed between any two stores: the log is copied whole and
 * gets the bytes of an addition only up to there.  The stores are the slot's,
 * the head's and the bucket's, in this order.
 */
static void
test_half_written(int before)
{
	size_t		bytes = kms_attempts_bytes(8);
	size_t		slots = bytes - 8 * 32;
	KmsAttempts *log = new_log(8);
	unsigned char *old = malloc(bytes);
	unsigned char *new;
	bool		ok = true;
	int			i;

	for (i = 0; i < before; i++)
		kms_attempts_add(log, subject(i % 2, 1), 10 + i);
	memcpy(old, log, bytes);
	kms_attempts_add(log, subject(1, 1), 90);
	new = (unsigned char *) log;

	for (i = 0; i <= 33; i++)
	{
		KmsAttempts *half = malloc(bytes);
		size_t		slot = slots + (size_t) ((before + 1) % 8) * 32;
		int			kept = before < 7 ? before : i <= 32 ? 7 : 6;
		int			found;

		memcpy(half, old, bytes);
		memcpy((unsigned char *) half + slot, new + slot,
			   i < 32 ? (size_t) i : 32);
		if (i == 33)
			memcpy(half, new, 16);	/* the header, with its head */
		found = count(half, subject(0, 1), 95, 100, 99) +
			count(half, subject(1, 1), 95, 100, 99);
		ok = ok && found == kept;

		/* the next process adds to whole chains */
		kms_attempts_add(half, subject(0, 1), 96);
		found = count(half, subject(0, 1), 97, 100, 99) +
			count(half, subject(1, 1), 97, 100, 99);
		kept = before < 7 ? before + 1 : 7;
		if (i == 33 && before >= 6)
			kept = 6;
		ok = ok && found == kept;
		free(half);
	}
	check(ok, "killed anywhere within an addition after %d", before);
	free(old);
	free(log);
}

/* A walk ends and stays within the memory, even if that holds garbage. */
static void
test_garbage(void)
{
	size_t		bytes = kms_attempts_bytes(8);
	bool		ok = true;
	int			round;
	size_t		i;

	for (round = 0; round < 2000; round++)
	{
		KmsAttempts *log = new_log(8);
		unsigned char *memory = (unsigned char *) log;
		uint64_t	state = (uint64_t) round * 2654435761u + 1;

		for (i = 0; i < 9; i++)
			kms_attempts_add(log, subject(1, 1), 10);
		for (i = 16; i < bytes; i++)
		{
			state = state * 6364136223846793005u + 1442695040888963407u;
			if ((state >> 60) == 0)
				memory[i] = (unsigned char) (state >> 50) % 16;
		}
		ok = ok && count(log, subject(1, 1), 20, 100, 99) <= 7;
		free(log);
	}
	check(ok, "whatever is in the memory, a walk ends");
}

int
main(void)
{
	int			before;

	test_window();
	test_buckets();
	test_wrap();
	for (before = 0; before < 20; before += 1)
		test_half_written(before);
	test_garbage();
	return tap_done();
}
