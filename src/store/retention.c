#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "store/retention.h"

#include "pg/catalog.h"
#include "pg/compat.h"
#include "pg/lock.h"
#include "pg/settings.h"
#include "store/metric.h"
#include "store/spi.h"

#define ROLL_AFTER_DAYS 2
#define REMEMBER_MS 60000

/*
 * The end of the last batch of this process.  Its rows stay in the index until
 * they are vacuumed, which an old snapshot delays.  Without this, each batch
 * would walk over the rows of all batches before it.
 */
typedef struct Reached
{
	TimestampTz last;
	TimestampTz at;				/* when the batch ended */
	TransactionId transaction;	/* of that batch; invalid: start from the
								 * beginning */
} Reached;

static int64 purge(SPIPlanPtr *plan, const char *query, TimestampTz before,
				   int limit, Reached *reached);
static TimestampTz start_of_batch(const Reached *reached);
static void end_of_batch(Reached *reached, TimestampTz last);
static TimestampTz add_hour(KmsMetric *hours, int *count, uint64 row);

int64
kms_retention_purge_metrics(TimestampTz now, int limit)
{
	static SPIPlanPtr plan = NULL;
	static Reached reached;

	return purge(&plan,
				 "WITH gone AS (DELETE FROM kms.metric"
				 " WHERE ctid = ANY (ARRAY(SELECT ctid FROM kms.metric"
				 " WHERE bucket >= $1"
				 " AND bucket < $2"
				 " ORDER BY bucket LIMIT $3 FOR UPDATE SKIP LOCKED))"
				 " RETURNING bucket)"
				 " SELECT pg_catalog.count(*), pg_catalog.max(bucket)"
				 " FROM gone",
				 now - kms_metric_retention * USECS_PER_SEC, limit,
				 &reached);
}

int64
kms_retention_roll_metrics(TimestampTz now, int limit)
{
	static SPIPlanPtr plan = NULL;
	static Reached reached;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext spi_context;
	TimestampTz last = DT_NOBEGIN;
	KmsMetric  *hours = NULL;
	int			hour_count = 0;
	KmsSpi		spi;
	uint64		i;
	int64		rolled;
	int			h;

	/* two sessions at once would wait for each other's hours */
	if (!kms_lock_try_extension(kms_catalog()->extension, KMS_LOCK_ROLL_UP))
		return 0;
	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_time(&spi, start_of_batch(&reached));
	kms_spi_time(&spi, kms_metric_bucket(now - ROLL_AFTER_DAYS * USECS_PER_DAY,
										 KMS_METRIC_HOUR));
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, &plan,
				"DELETE FROM kms.metric WHERE ctid = ANY (ARRAY(SELECT ctid FROM kms.metric"
				" WHERE bucket >= $1"
				" AND bucket < $2"
				" AND width = 60"
				" ORDER BY bucket LIMIT $3 FOR UPDATE SKIP LOCKED))"
				" RETURNING bucket, operation, status, reason, count, sum_ms,"
				" min_ms, max_ms, histogram",
				SPI_OK_DELETE_RETURNING);
	rolled = (int64) spi.processed;
	if (rolled > 0)
	{
		/* at worst each row has an hour of its own */
		hours = MemoryContextAllocHuge(caller, rolled * sizeof(KmsMetric));
		spi_context = MemoryContextSwitchTo(caller);
		for (i = 0; i < spi.processed; i++)
		{
			TimestampTz minute = add_hour(hours, &hour_count, i);

			last = Max(last, minute);
		}
		MemoryContextSwitchTo(spi_context);
	}
	kms_spi_end(&spi);
	end_of_batch(&reached, rolled == limit ? last : DT_NOBEGIN);

	for (h = 0; h < hour_count; h++)
		kms_metric_store(&hours[h]);
	if (hours != NULL)
		pfree(hours);
	return rolled;
}

/*
 * Run a query whose parameters are the start of the batch, the end of the due
 * rows and the limit.  The query returns the number of rows that it deleted,
 * and the time of the last one.
 */
static int64
purge(SPIPlanPtr *plan, const char *query, TimestampTz before, int limit,
	  Reached *reached)
{
	KmsSpi		spi;
	TimestampTz last;
	int64		purged;
	bool		isnull;

	kms_spi_begin(&spi);
	kms_spi_by_index(&spi);
	kms_spi_time(&spi, start_of_batch(reached));
	kms_spi_time(&spi, before);
	kms_spi_int64(&spi, limit);
	kms_spi_run(&spi, plan, query, SPI_OK_SELECT);
	purged = DatumGetInt64(kms_spi_field(0, 1, &isnull));
	last = DatumGetTimestampTz(kms_spi_field(0, 2, &isnull));
	kms_spi_end(&spi);
	end_of_batch(reached, purged == limit ? last : DT_NOBEGIN);
	return purged;
}

/*
 * Return the time at which to start.  All rows before the end of the last
 * batch are done, except rows that others held, which are left to the next
 * round.  If the last batch was rolled back, or is too long ago to look up its
 * transaction, start from the beginning.
 */
static TimestampTz
start_of_batch(const Reached *reached)
{
	if (TransactionIdIsValid(reached->transaction) &&
		reached->at <= GetCurrentTimestamp() &&
		!TimestampDifferenceExceeds(reached->at, GetCurrentTimestamp(),
									REMEMBER_MS) &&
		TransactionIdDidCommit(reached->transaction))
		return reached->last;
	return DT_NOBEGIN;
}

/* DT_NOBEGIN lets the next batch start from the beginning. */
static void
end_of_batch(Reached *reached, TimestampTz last)
{
	reached->last = last;
	reached->at = GetCurrentTimestamp();
	reached->transaction = TIMESTAMP_IS_NOBEGIN(last) ? InvalidTransactionId
		: GetCurrentTransactionId();
}

/*
 * Add a row, with the columns that kms_retention_roll_metrics returns, to its
 * hour, and return its minute.  Texts are copied to the current memory
 * context.
 */
static TimestampTz
add_hour(KmsMetric *hours, int *count, uint64 row)
{
	KmsMetric	minute;
	KmsMetric  *hour = NULL;
	Datum		columns[5];
	bool		isnull;
	TimestampTz bucket = DatumGetTimestampTz(kms_spi_field(row, 1, &isnull));
	int			i;

	memset(&minute, 0, sizeof(minute));
	minute.bucket = kms_metric_bucket(bucket, KMS_METRIC_HOUR);
	minute.width = KMS_METRIC_HOUR;
	minute.operation = TextDatumGetCString(kms_spi_field(row, 2, &isnull));
	minute.status = TextDatumGetCString(kms_spi_field(row, 3, &isnull));
	minute.reason = TextDatumGetCString(kms_spi_field(row, 4, &isnull));
	for (i = 0; i < 5; i++)
		columns[i] = kms_spi_field(row, 5 + i, &isnull);
	kms_metric_add_row(&minute, columns);

	/* the newest hour first, because rows come in the order of time */
	for (i = *count - 1; i >= 0 && hour == NULL; i--)
	{
		if (hours[i].bucket == minute.bucket &&
			strcmp(hours[i].operation, minute.operation) == 0 &&
			strcmp(hours[i].status, minute.status) == 0 &&
			strcmp(hours[i].reason, minute.reason) == 0)
			hour = &hours[i];
	}
	if (hour != NULL)
		kms_metric_add(hour, &minute);
	else
		hours[(*count)++] = minute;
	return bucket;
}
