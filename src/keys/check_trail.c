#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/check_trail.h"

#include "keys/audit_key.h"
#include "keys/clock.h"
#include "keys/name_list.h"
#include "pg/settings.h"
#include "shmem/session_ring.h"
#include "shmem/shared.h"
#include "shmem/wait.h"
#include "store/checkpoint_table.h"
#include "store/health.h"
#include "store/latest.h"
#include "store/service_key_table.h"

/* A working writer empties the ring in less time. */
#define WRITER_PATIENCE_MS	1000

static TimestampTz find_unsigned(void);

void
kms_check_trail_ring(KmsReport report, void *result)
{
	KmsRingCounters ring;
	int64		epoch;
	uint64		unrecorded = pg_atomic_read_u64(&kms_shared->unrecorded);

	if (unrecorded > 0)
		report(result, "error",
			   psprintf("events not recorded for want of a ring file: " UINT64_FORMAT, unrecorded),
			   "Look at the server log; there must be room for kms.event_ring_size in pg_stat_tmp.");
	if (!kms_session_ring_counters(&ring, &epoch))
		return;
	if (ring.head != ring.tail && !kms_wait_flush(WRITER_PATIENCE_MS))
		report(result, "warning",
			   "events have been waiting to be written for more than a second",
			   "Other findings name what holds the event writer up: an error, a lock, a standby; see also its row in pg_stat_activity. With kms.audit = required, calls fail with KM008 in the meantime.");
	if (ring.head - ring.tail > ring.slots * 3 / 4)
		report(result, "warning", "the event ring is more than three quarters full",
			   "Find out what holds the event writer up, or raise kms.event_ring_size.");
	if (ring.dropped > 0)
		report(result, "warning",
			   psprintf("events dropped because the event ring was full: " UINT64_FORMAT, ring.dropped),
			   "Raise kms.event_ring_size.");
	if (ring.damaged > 0)
		report(result, "warning",
			   psprintf("damaged entries of the event ring: " UINT64_FORMAT, ring.damaged),
			   "The trail has a row of operation \"gap\" where events may be missing.");
}

void
kms_check_trail_quarantine(KmsReport report, void *result)
{
	if (kms_health_quarantined() > 0)
		report(result, "warning",
			   psprintf("events that could not be written and were quarantined: " INT64_FORMAT, kms_health_quarantined()),
			   "kms.event_quarantine has them with the reason.");
}

/*
 * The patience has two reasons: an idle server signs at the next round of
 * maintenance, and retention waits for a checkpoint that is old enough.
 */
void
kms_check_trail(KmsReport report, void *result)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		patience = 2 * ((int64) kms_audit_checkpoint_interval +
								kms_maintenance_interval) * USECS_PER_SEC;
	TimestampTz unsigned_since = find_unsigned();
	TimestampTz oldest = kms_checkpoint_table_oldest_event(0);
	KmsClock	clock;
	List	   *bad = NIL;
	ListCell   *cell;

	foreach(cell, kms_service_key_table_all(KMS_AUDIT_KEY))
	{
		KmsServiceKey *key = lfirst(cell);

		if (kms_audit_key_public(key->id, key->public_key) == KMS_NOT_AUTHENTIC)
			bad = lappend(bad, key->id);
	}
	if (bad != NIL)
		report(result, "error",
			   psprintf("audit keys that do not authenticate: %s", kms_name_list_join(bad)),
			   "Their rows were changed behind the extension's back; restore them from a backup, or delete them from kms.audit_key.");
	if (unsigned_since != 0 && unsigned_since < now - patience)
		report(result, "warning",
			   psprintf("events since %s are not signed",
						timestamptz_to_str(unsigned_since)),
			   "The event writer signs them with the next event or the next round of maintenance. If this finding stays, the master key is missing, or something holds the writer up: see the other findings and the server log.");
	kms_clock_read(&clock);
	if (oldest != 0 && clock.known &&
		oldest < clock.due - patience - kms_event_retention * USECS_PER_SEC)
		report(result, "warning",
			   psprintf("events are older than kms.event_retention: the oldest is of %s",
						timestamptz_to_str(oldest)),
			   "Maintenance deletes them up to a checkpoint of that age that authenticates, and signs the rest again, for which it needs the master key; see kms_audit_verify().");
}

/* Return when the first event after the last signature occurred; 0: none. */
static TimestampTz
find_unsigned(void)
{
	KmsCheckpoint last;

	(void) kms_latest_checkpoint(kms_checkpoint_table_newest_row(), &last);
	return kms_checkpoint_table_oldest_event(last.ticket);
}
