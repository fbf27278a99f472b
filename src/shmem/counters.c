/*
 * Counters of one database, for graphs.  The record is kms.event and
 * kms.metric; these numbers are cheap to read, and grow while the writer
 * cannot write.
 *
 * Writers.  A session counts a call where its outcome is known and its event
 * leaves the session (keys/call.c and events.c), so each call once:
 *
 * - Its event goes into the ring, is only counted, is dropped, or finds no
 *   ring: then.  So a later rollback takes nothing back.  The calls of a sum
 *   of field calls count when their one event is pushed.
 * - Its event is a row of the outbox, because it is a successful change: when
 *   the transaction commits or is prepared.  If it is rolled back instead, the
 *   change counts as a failure.  (ROLLBACK PREPARED runs no callback.  Then a
 *   success has been counted for a change that kms.event does not have.)
 * - It is on a standby: then, too.
 * - kms.audit = required refuses its result before the event is in the ring:
 *   as a failure.  If the event then does not become durable in time, it is a
 *   success all the same, as in kms.event, because the event stays in the
 *   ring.
 *
 * A killed session loses what it has not counted yet.  That is a change which
 * did not commit, or an open sum.
 *
 * An addition is one atomic instruction for each counter that it changes, at
 * most three for a call: its bucket, its duration, and the fate of its event.
 * Together they take 10 ns if no other process writes to the same line.
 * The number of calls is not stored.  It is the sum of the buckets and of the
 * calls in none, so a reader never sees more calls in the histogram than there
 * are.
 *
 * Resets.  The memory is PostgreSQL's, so a start or a crash restart empties
 * it.  Otherwise, kms_shared->lock must be held exclusively to reset and
 * shared to copy; a reader therefore never sees a value that has fallen while
 * "since" is the same.  A reset happens when a database takes a place, and
 * when a call sees that the extension is another one (shared.c).  A session
 * that counts during a reset may add its call before or after it.
 */
#include <stdio.h>
#include <string.h>

#include "shmem/counters.h"

#define load(p)			__atomic_load_n(p, __ATOMIC_RELAXED)
#define store(p, v)		__atomic_store_n(p, v, __ATOMIC_RELAXED)
#define add(p, n)		((void) __atomic_fetch_add(p, n, __ATOMIC_RELAXED))

#define WORDS (sizeof(KmsCounters) / sizeof(uint64_t))

void
kms_counters_reset(KmsCounters *counters, int64_t since)
{
	uint64_t   *words = (uint64_t *) counters;
	size_t		i;

	for (i = 0; i < WORDS; i++)
		store(&words[i], 0);
	counters->since = since;
}

void
kms_counters_call(KmsCounters *counters, uint8_t operation, bool succeeded,
				  int64_t calls, int64_t duration_us)
{
	KmsCallCounters *cell;

	if (operation == 0 || operation >= KMS_OPERATION_COUNT ||
		operation == KMS_OP_GAP || calls <= 0)
		return;
	cell = &counters->calls[operation][succeeded ? 1 : 0];
	if (duration_us > 0)
		add(&cell->duration_us, (uint64_t) duration_us);
	if (calls == 1 && duration_us >= 0)
		add(&cell->buckets[kms_counters_bucket(duration_us)], 1);
	else
		add(&cell->untimed, (uint64_t) calls);
}

void
kms_counters_add(KmsCounters *counters, KmsCount count, uint64_t number)
{
	add(&counters->counts[count], number);
}

void
kms_counters_copy(const KmsCounters *counters, KmsCounters *copy)
{
	const uint64_t *from = (const uint64_t *) counters;
	uint64_t   *to = (uint64_t *) copy;
	size_t		i;

	for (i = 0; i < WORDS; i++)
		to[i] = load(&from[i]);
}

uint64_t
kms_counters_calls(const KmsCallCounters *calls)
{
	return kms_counters_timed(calls) + calls->untimed;
}

uint64_t
kms_counters_timed(const KmsCallCounters *calls)
{
	uint64_t	timed = 0;
	int			i;

	for (i = 0; i <= KMS_COUNTERS_BOUNDS; i++)
		timed += calls->buckets[i];
	return timed;
}

const char *
kms_counters_name(KmsCount count)
{
	static const char *const names[KMS_COUNTS] = {
		[KMS_COUNT_RECORDED] = "events_recorded",
		[KMS_COUNT_DROPPED] = "events_dropped",
		[KMS_COUNT_COUNTED_ONLY] = "events_counted_only",
		[KMS_COUNT_DAMAGED] = "events_damaged",
		[KMS_COUNT_WITHOUT_RING] = "events_without_ring",
		[KMS_COUNT_REFUSED] = "calls_refused_by_audit",
		[KMS_COUNT_STANDBY_SUCCESSES] = "standby_successes",
		[KMS_COUNT_STANDBY_FAILURES] = "standby_failures",
		[KMS_COUNT_POOL_MISSED] = "pool_keys_missed",
		[KMS_COUNT_WRONG_LANES] = "multi_buffer_wrong_results",
	};

	return names[count];
}

void
kms_counters_le(int bucket, char le[KMS_COUNTERS_LE_SIZE])
{
	uint32_t	bound_us;

	if (bucket >= KMS_COUNTERS_BOUNDS)
	{
		snprintf(le, KMS_COUNTERS_LE_SIZE, "+Inf");
		return;
	}
	bound_us = UINT32_C(16) << bucket;
	snprintf(le, KMS_COUNTERS_LE_SIZE, "%u.%06u",
			 (unsigned) (bound_us / 1000000),
			 (unsigned) (bound_us % 1000000));
}

int
kms_counters_bucket(int64_t duration_us)
{
	uint64_t	sixteenths;
	int			bucket;

	if (duration_us <= 16)
		return 0;
	sixteenths = (uint64_t) (duration_us - 1) / 16;
	bucket = 64 - __builtin_clzll(sixteenths);
	return bucket < KMS_COUNTERS_BOUNDS ? bucket : KMS_COUNTERS_BOUNDS;
}
