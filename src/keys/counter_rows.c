#include "postgres.h"

#include "keys/counter_rows.h"

#include "shmem/shared.h"

typedef struct Rows
{
	KmsCounterReceiver receive;
	void	   *arg;
	KmsCounterRow row;
} Rows;

static void pass_calls(Rows *rows, const KmsCallCounters *calls);
static void pass(Rows *rows, const char *name, const char *le, uint64 value);

void
kms_counter_rows_read(KmsCounterReceiver receive, void *arg)
{
	KmsDatabase *database = kms_shared_database();
	KmsCounters *counters;
	Rows		rows = {.receive = receive,.arg = arg};
	int			operation;
	int			i;

	if (database == NULL)
		return;
	counters = palloc(sizeof(KmsCounters));
	kms_shared_copy_counters(database, counters);
	rows.row.since = counters->since;
	for (i = 0; i < KMS_COUNTS; i++)
		pass(&rows, kms_counters_name((KmsCount) i), NULL,
			 counters->counts[i]);
	for (operation = 1; operation < KMS_OPERATION_COUNT; operation++)
	{
		rows.row.operation = kms_event_operation_name(operation);
		rows.row.status = "failure";
		pass_calls(&rows, &counters->calls[operation][0]);
		rows.row.status = "success";
		pass_calls(&rows, &counters->calls[operation][1]);
	}
	pfree(counters);
}

static void
pass_calls(Rows *rows, const KmsCallCounters *calls)
{
	uint64		count = kms_counters_calls(calls);
	uint64		timed = 0;
	char		le[KMS_COUNTERS_LE_SIZE];
	int			bucket;

	if (count == 0)
		return;
	pass(rows, "calls", NULL, count);
	pass(rows, "duration_us", NULL, calls->duration_us);
	for (bucket = 0; bucket <= KMS_COUNTERS_BOUNDS; bucket++)
	{
		timed += calls->buckets[bucket];
		kms_counters_le(bucket, le);
		pass(rows, "duration_bucket", le, timed);
	}
}

static void
pass(Rows *rows, const char *name, const char *le, uint64 value)
{
	rows->row.name = name;
	rows->row.le = le;
	rows->row.value = (int64) value;
	rows->receive(rows->arg, &rows->row);
}
