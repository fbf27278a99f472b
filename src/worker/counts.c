#include "postgres.h"

#include "utils/timestamp.h"

#include "worker/counts.h"

#include "shmem/tally.h"

static void write_entry(KmsTrail *trail, const KmsTallyEntry *entry);

bool
kms_counts_pending(KmsRing *ring, KmsDatabase *database)
{
	return kms_tally_pending(kms_ring_tally(ring)) ||
		pg_atomic_read_u64(&database->unrecorded) !=
		pg_atomic_read_u64(&database->unrecorded_told);
}

void
kms_counts_write(KmsTrailWriter *writer, KmsRing *ring, bool retired,
				 KmsDatabase *database, KmsTrail *trail)
{
	KmsTally   *tally = kms_ring_tally(ring);
	uint64		told = pg_atomic_read_u64(&database->unrecorded_told);
	uint64		unrecorded = pg_atomic_read_u64(&database->unrecorded);
	KmsTallyEntry entries[KMS_TALLY_CELLS];
	int			count;
	int			i;

	kms_trail_writer_begin(writer, "writing counts of events");
	kms_trail_writer_open(writer, ring, retired, trail);
	count = kms_tally_take(tally, trail->counted, entries);
	for (i = 0; i < count; i++)
		write_entry(trail, &entries[i]);
	if (unrecorded != told)
		kms_event_table_gap(trail, (int64) (unrecorded - told),
							"no event ring could be made");
	trail->counted++;
	kms_event_table_close(trail);
	kms_trail_writer_commit(writer, trail);

	kms_tally_written(tally, trail->counted);
	pg_atomic_write_u64(&database->unrecorded_told, unrecorded);
}

static void
write_entry(KmsTrail *trail, const KmsTallyEntry *entry)
{
	KmsEvent	event;

	if (entry->operation == KMS_OP_GAP)
	{
		kms_event_table_gap(trail, entry->calls, "the event ring was full");
		return;
	}
	memset(&event, 0, sizeof(event));
	event.occurred_at = GetCurrentTimestamp();
	event.operation = entry->operation;
	event.status = entry->status;
	event.calls = entry->calls;
	event.duration_us = entry->duration_us;
	kms_event_table_append(trail, &event, 1);
}
