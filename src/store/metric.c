#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "store/metric.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "store/link.h"
#include "store/rows.h"
#include "store/scan.h"
#include "store/spi.h"

/* How often another session may be first to insert the row. */
#define STORE_TRIES 3

/* The head of a one-dimensional array without nulls, after its length word. */
typedef struct ArrayHead
{
	int32		ndim;
	int32		dataoffset;
	Oid			elemtype;
	int32		dim;
	int32		lower;
} ArrayHead;

static const Oid types[KMS_METRIC_COLUMNS] = {
	TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, INT8OID, FLOAT8OID,
	FLOAT8OID, FLOAT8OID, INT8ARRAYOID
};

static bool find_stored(const KmsMetric *metric, ItemPointer tid);
static bool add_to_stored(const KmsMetric *metric, ItemPointer tid);
static bool insert_stored(const KmsMetric *metric);
static Datum histogram_array(const KmsHistogram *histogram);

TimestampTz
kms_metric_bucket(TimestampTz time, int width)
{
	int64		usecs = (int64) width * USECS_PER_SEC;
	int64		rest = time % usecs;

	return time - (rest < 0 ? rest + usecs : rest);
}

void
kms_metric_count(KmsMetric *metric, int64 calls, int64 duration_us)
{
	metric->count += calls;
	if (calls == 1 && duration_us >= 0)
		kms_histogram_count(&metric->durations, duration_us);
}

void
kms_metric_add(KmsMetric *metric, const KmsMetric *other)
{
	metric->count += other->count;
	kms_histogram_add(&metric->durations, &other->durations);
}

/* A summary does this for each row, so read the array in place. */
void
kms_metric_add_row(KmsMetric *metric, const Datum *columns)
{
	struct varlena *stored = PG_DETOAST_DATUM_PACKED(columns[4]);
	const char *bytes = VARDATA_ANY(stored);
	ArrayHead	head;
	int			size = 0;

	memset(&head, 0, sizeof(head));
	if (VARSIZE_ANY_EXHDR(stored) >= sizeof(head))
		memcpy(&head, bytes, sizeof(head));
	if (head.ndim == 1 && head.dataoffset == 0 && head.elemtype == INT8OID &&
		VARSIZE_ANY_EXHDR(stored) ==
		sizeof(head) + (size_t) head.dim * sizeof(int64))
		size = head.dim;
	metric->count += DatumGetInt64(columns[0]);
	kms_histogram_add_stored(&metric->durations, head.lower,
							 bytes + sizeof(head), size,
							 DatumGetFloat8(columns[1]),
							 DatumGetFloat8(columns[2]),
							 DatumGetFloat8(columns[3]));
}

Relation
kms_metric_open(void)
{
	Relation	rel = table_open(kms_link_relation("metric"), AccessShareLock);

	kms_link_columns(RelationGetDescr(rel), "metric", types, lengthof(types));
	return rel;
}

void
kms_metric_store(const KmsMetric *metric)
{
	int			i;

	for (i = 0; i < STORE_TRIES; i++)
	{
		ItemPointerData tid;

		while (find_stored(metric, &tid))
		{
			if (add_to_stored(metric, &tid))
				return;
			CHECK_FOR_INTERRUPTS();
		}
		if (insert_stored(metric))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not add to kms.metric because of a concurrent change"),
			 KMS_HIDE_STATEMENT));
}

/* Find the row among what is committed and what this transaction has done. */
static bool
find_stored(const KmsMetric *metric, ItemPointer tid)
{
	Relation	rel = kms_metric_open();
	ScanKeyData keys[5];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], KMS_METRIC_BUCKET, BTEqualStrategyNumber,
				F_TIMESTAMPTZ_EQ, TimestampTzGetDatum(metric->bucket));
	ScanKeyInit(&keys[1], KMS_METRIC_WIDTH, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(metric->width));
	kms_scan_text(&keys[2], KMS_METRIC_OPERATION, metric->operation);
	kms_scan_text(&keys[3], KMS_METRIC_STATUS, metric->status);
	kms_scan_text(&keys[4], KMS_METRIC_REASON, metric->reason);
	scan = systable_beginscan(rel, kms_link_relation("metric_pkey"), true,
							  NULL, lengthof(keys), keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		*tid = tuple->t_self;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

/* Return false if the row was changed or deleted. */
static bool
add_to_stored(const KmsMetric *metric, ItemPointer tid)
{
	KmsRows		rows;
	bool		found;

	kms_rows_open(&rows, "metric");
	found = kms_rows_lock(&rows, tid);
	if (found)
	{
		KmsMetric	sum = {0};
		Datum	   *columns = &rows.slot->tts_values[KMS_METRIC_COUNT - 1];

		kms_metric_add_row(&sum, columns);
		kms_metric_add(&sum, metric);
		columns[0] = Int64GetDatum(sum.count);
		columns[1] = Float8GetDatum(sum.durations.sum_ms);
		columns[2] = Float8GetDatum(sum.durations.min_ms);
		columns[3] = Float8GetDatum(sum.durations.max_ms);
		columns[4] = histogram_array(&sum.durations);
		kms_rows_update(&rows);
	}
	kms_rows_close(&rows);
	return found;
}

/* Return false if another session has just inserted the row. */
static bool
insert_stored(const KmsMetric *metric)
{
	static SPIPlanPtr plan = NULL;
	KmsMetric	sum = {0};
	KmsSpi		spi;
	bool		inserted;

	kms_metric_add(&sum, metric);
	kms_spi_begin(&spi);
	kms_spi_time(&spi, metric->bucket);
	kms_spi_datum(&spi, INT4OID, Int32GetDatum(metric->width));
	kms_spi_text(&spi, metric->operation);
	kms_spi_text(&spi, metric->status);
	kms_spi_text(&spi, metric->reason);
	kms_spi_int64(&spi, sum.count);
	kms_spi_double(&spi, sum.durations.sum_ms);
	kms_spi_double(&spi, sum.durations.min_ms);
	kms_spi_double(&spi, sum.durations.max_ms);
	kms_spi_datum(&spi, INT8ARRAYOID, histogram_array(&sum.durations));
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.metric (bucket, width, operation, status,"
				" reason, count, sum_ms, min_ms, max_ms, histogram)"
				" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
				" ON CONFLICT DO NOTHING",
				SPI_OK_INSERT);
	inserted = spi.processed > 0;
	kms_spi_end(&spi);
	return inserted;
}

static Datum
histogram_array(const KmsHistogram *histogram)
{
	Datum		values[KMS_HISTOGRAM_BUCKETS];
	int			first;
	int			last;
	int			size;
	int			i;

	kms_histogram_range(histogram, &first, &last);
	if (last == 0)
		return PointerGetDatum(construct_empty_array(INT8OID));
	size = last - first + 1;
	for (i = 0; i < size; i++)
		values[i] = Int64GetDatum(histogram->counts[first - 1 + i]);
	return PointerGetDatum(construct_md_array(values, NULL, 1, &size, &first,
											  INT8OID, sizeof(int64),
											  FLOAT8PASSBYVAL,
											  TYPALIGN_DOUBLE));
}
