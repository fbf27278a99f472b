/*
 * The log of failed attempts.
 *
 * Positions count up from 1 for ever; the failure at position p is in slot p
 * mod entries.  A bucket, chosen by the subject's digest, has the newest
 * position of its failures, and each failure has the previous position of its
 * bucket; 0 means none.  Nothing is ever unlinked: a position that the ring
 * has overwritten is recognized by its age, and all positions before it in the
 * bucket are older still.
 *
 * An addition has three steps:
 *
 * 1. fill the slot,
 * 2. advance the head,
 * 3. write the bucket.
 *
 * The slot at the head belongs to no valid position, so a slot that is half
 * filled when its process is killed does not count.  If the process is killed
 * between 2 and 3, the position is used up and in no chain.  (If 3 came before
 * 2, the next addition would fill the same slot again and cut off the chain of
 * that bucket.)
 */
#include <stdbool.h>
#include <string.h>

#include "shmem/attempts.h"

typedef struct Failure
{
	unsigned char subject[KMS_ATTEMPT_SUBJECT_SIZE];
	int64_t		at;
	uint64_t	previous;		/* position in the same bucket, or 0 */
} Failure;

struct KmsAttempts
{
	uint64_t	entries;		/* number of slots, and of buckets */
	uint64_t	head;			/* next position */
};

static uint64_t *bucket_of(const KmsAttempts *log, const unsigned char *subject);
static Failure *slot_of(const KmsAttempts *log, uint64_t position);
static bool is_kept(const KmsAttempts *log, uint64_t position);

size_t
kms_attempts_bytes(uint64_t entries)
{
	return sizeof(KmsAttempts) +
		entries * (sizeof(uint64_t) + sizeof(Failure));
}

void
kms_attempts_format(KmsAttempts *log, uint64_t entries)
{
	log->entries = entries;
	log->head = 1;
}

int
kms_attempts_count(const KmsAttempts *log, const unsigned char *subject,
				   int64_t now, int64_t window, int limit, int64_t *free_at)
{
	uint64_t	position = *bucket_of(log, subject);
	int			count = 0;

	*free_at = 0;
	while (is_kept(log, position))
	{
		const Failure *failure = slot_of(log, position);

		if (failure->at <= now - window)
			break;
		if (memcmp(failure->subject, subject, KMS_ATTEMPT_SUBJECT_SIZE) == 0 &&
			++count == limit)
		{
			*free_at = failure->at + window;
			break;
		}

		/*
		 * Positions must decrease, so that the walk ends even if memory is
		 * damaged.
		 */
		if (failure->previous >= position)
			break;
		position = failure->previous;
	}
	return count;
}

void
kms_attempts_add(KmsAttempts *log, const unsigned char *subject, int64_t now)
{
	uint64_t   *bucket = bucket_of(log, subject);
	uint64_t	position = log->head;
	Failure    *failure = slot_of(log, position);

	memcpy(failure->subject, subject, KMS_ATTEMPT_SUBJECT_SIZE);
	failure->at = now;
	failure->previous = *bucket;
	__atomic_store_n(&log->head, position + 1, __ATOMIC_RELEASE);
	__atomic_store_n(bucket, position, __ATOMIC_RELEASE);
}

/*
 * Return the bucket of a subject.  The bytes of a digest are as good as
 * random, so use the first ones.
 */
static uint64_t *
bucket_of(const KmsAttempts *log, const unsigned char *subject)
{
	uint64_t   *buckets = (uint64_t *) (log + 1);
	uint64_t	hash;

	memcpy(&hash, subject, sizeof(hash));
	return &buckets[hash % log->entries];
}

static Failure *
slot_of(const KmsAttempts *log, uint64_t position)
{
	Failure    *slots = (Failure *) ((uint64_t *) (log + 1) + log->entries);

	return &slots[position % log->entries];
}

/*
 * Return true if the slot still has this position.  The slot at the head may
 * be half overwritten, so it does not count.
 */
static bool
is_kept(const KmsAttempts *log, uint64_t position)
{
	return position > 0 && position < log->head &&
		log->head - position < log->entries;
}
