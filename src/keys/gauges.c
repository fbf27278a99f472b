/*
 * Each group of gauges is read in a subtransaction of its own, like the checks
 * of kms_check(), so that a table that is locked or was changed costs only the
 * gauges that need it.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/gauges.h"

#include "keys/check_unwritten.h"
#include "keys/pool.h"
#include "pg/subtransaction.h"
#include "shmem/master.h"
#include "shmem/session_ring.h"
#include "shmem/shared.h"
#include "store/checkpoint_table.h"
#include "store/health.h"
#include "store/outbox_table.h"
#include "store/pool_table.h"
#include "store/purge_state.h"

/* the shortest that there is: a gauge waits for nobody */
#define LOCK_PATIENCE	"1ms"

#define LAG				"oldest_unwritten_event_seconds"

typedef void (*Reader) (KmsGauges *gauges);

typedef struct Run
{
	Reader		read;
	KmsGauges  *gauges;
} Run;

static bool run_it(void *arg);
static void read_ring(KmsGauges *gauges);
static void read_ring_lag(KmsGauges *gauges);
static void read_outbox_lag(KmsGauges *gauges);
static void read_pool(KmsGauges *gauges);
static void read_pool_size(KmsGauges *gauges);
static void read_master_key(KmsGauges *gauges);
static void read_checkpoint(KmsGauges *gauges);
static void read_unsigned(KmsGauges *gauges);
static void read_purge(KmsGauges *gauges);
static void read_outbox(KmsGauges *gauges);
static void read_quarantine(KmsGauges *gauges);
static void read_left(KmsGauges *gauges);
static void read_workers(KmsGauges *gauges);
static double lag(TimestampTz oldest);
static void raise_to(KmsGauges *gauges, const char *name, double value);
static void add(KmsGauges *gauges, const char *name, double value);
static double age(TimestampTz since);

static const Reader readers[] = {
	read_ring, read_ring_lag, read_outbox_lag, read_pool, read_pool_size, read_master_key,
	read_checkpoint, read_unsigned, read_purge, read_outbox, read_quarantine,
	read_left, read_workers
};

void
kms_gauges_read(KmsGauges *gauges)
{
	int			i;

	gauges->count = 0;
	for (i = 0; i < (int) lengthof(readers); i++)
	{
		Run			run = {readers[i], gauges};
		int			before = gauges->count;
		ErrorData  *error;

		if (kms_subtransaction_run(run_it, &run, LOCK_PATIENCE, &error))
			continue;
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_OUT_OF_MEMORY)
			ReThrowError(error);
		FreeErrorData(error);
		gauges->count = before;
	}
}

static bool
run_it(void *arg)
{
	Run		   *run = arg;

	run->read(run->gauges);
	return true;
}

static void
read_ring(KmsGauges *gauges)
{
	KmsRingCounters ring;
	int64		epoch;

	if (!kms_session_ring_counters(&ring, &epoch))
		return;
	add(gauges, "ring_slots", ring.slots);
	add(gauges, "ring_used", ring.head - ring.tail);
}

/* Events wait in the ring. */
static void
read_ring_lag(KmsGauges *gauges)
{
	KmsRingCounters ring;
	int64		epoch;

	if (kms_session_ring_counters(&ring, &epoch))
		raise_to(gauges, LAG, lag(kms_ring_oldest(kms_session_ring_get())));
}

/* Changes wait in the outbox, which may be locked. */
static void
read_outbox_lag(KmsGauges *gauges)
{
	raise_to(gauges, LAG, lag(kms_outbox_table_oldest()));
}

static double
lag(TimestampTz oldest)
{
	return oldest == 0 ? 0 : age(oldest);
}

/* Set a gauge, unless it has a greater value. */
static void
raise_to(KmsGauges *gauges, const char *name, double value)
{
	int			i;

	for (i = 0; i < gauges->count; i++)
	{
		if (strcmp(gauges->gauge[i].name, name) == 0)
		{
			gauges->gauge[i].value = Max(gauges->gauge[i].value, value);
			return;
		}
	}
	add(gauges, name, value);
}

static void
read_pool(KmsGauges *gauges)
{
	add(gauges, "pool_keys", kms_pool_table_count());
}

static void
read_pool_size(KmsGauges *gauges)
{
	add(gauges, "pool_keys_wanted", kms_pool_size());
}

static void
read_master_key(KmsGauges *gauges)
{
	KmsMasterStatus *master = palloc(sizeof(KmsMasterStatus));

	kms_master_status(master);
	add(gauges, "master_key_ready", master->state == KMS_MASTER_READY);
	add(gauges, "master_keys", master->count);
	pfree(master);
}

static void
read_checkpoint(KmsGauges *gauges)
{
	int64		ticket;
	TimestampTz signed_at = kms_checkpoint_table_last(&ticket);

	if (signed_at != 0)
		add(gauges, "checkpoint_age_seconds", age(signed_at));
}

/* Tickets have no gaps, so their difference is the number of events. */
static void
read_unsigned(KmsGauges *gauges)
{
	int64		ticket;

	(void) kms_checkpoint_table_last(&ticket);
	add(gauges, "unsigned_events",
		Max(0, kms_checkpoint_table_newest_row() - ticket));
}

static void
read_purge(KmsGauges *gauges)
{
	KmsPurgeState purge;

	kms_purge_state_read(&purge);
	add(gauges, "purge_waiting", purge.blocked_at != 0);
}

static void
read_outbox(KmsGauges *gauges)
{
	add(gauges, "outbox_changes", kms_health_outbox());
}

static void
read_quarantine(KmsGauges *gauges)
{
	add(gauges, "events_quarantined", kms_health_quarantined());
}

static void
read_left(KmsGauges *gauges)
{
	add(gauges, "events_left_in_rings", kms_check_unwritten_count());
}

static void
read_workers(KmsGauges *gauges)
{
	KmsDatabase *database = kms_shared_database();
	TimestampTz maintained_at = 0;
	bool		launcher;
	bool		failing[KMS_WORKERS] = {false};
	bool		keygen = false;
	int			i;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	launcher = kms_shared->launcher_pid != 0;
	for (i = 0; database != NULL && i < KMS_WORKERS; i++)
		failing[i] = database->worker[i].failed_at != 0;
	if (database != NULL)
		maintained_at = database->maintained_at;
	LWLockRelease(&kms_shared->lock);

	for (i = KMS_KEYGEN; i < KMS_WORKERS; i++)
		keygen = keygen || failing[i];
	add(gauges, "launcher_running", launcher);
	add(gauges, "writer_failing", failing[KMS_WRITER]);
	add(gauges, "maintenance_failing", failing[KMS_MAINTENANCE]);
	add(gauges, "keygen_failing", keygen);
	if (maintained_at != 0)
		add(gauges, "maintenance_age_seconds", age(maintained_at));
}

static void
add(KmsGauges *gauges, const char *name, double value)
{
	Assert(gauges->count < KMS_GAUGES_MAX);
	gauges->gauge[gauges->count].name = name;
	gauges->gauge[gauges->count].value = value;
	gauges->count++;
}

/* Return a number of seconds, 0 if the clock was set back since. */
static double
age(TimestampTz since)
{
	return Max(0, GetCurrentTimestamp() - since) / 1000000.0;
}
