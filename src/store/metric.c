#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "pg/compat.h"
#include "store/metric.h"
#include "store/spi.h"

/* How often another session may be first to make the row. */
#define STORE_TRIES 3

static int64 known(const KmsMetric *metric);
static bool read_stored(const KmsMetric *metric, KmsMetric *sum);
static bool write_stored(const KmsMetric *sum, bool update);
static Datum histogram_array(const int64 *histogram);

TimestampTz
kms_metric_bucket(TimestampTz time, int width)
{
	int64		usecs = (int64) width * USECS_PER_SEC;
	int64		rest = time % usecs;

	return time - (rest < 0 ? rest + usecs : rest);
}

void
kms_metric_count(KmsMetric *metric, int64 duration_us)
{
	metric->count++;
	if (duration_us >= 0)
	{
		double		ms = duration_us / 1000.0;

		if (known(metric) == 0 || ms < metric->min_ms)
			metric->min_ms = ms;
		if (ms > metric->max_ms)
			metric->max_ms = ms;
		metric->sum_ms += ms;
		metric->histogram[kms_histogram_bucket(duration_us) - 1]++;
	}
}

void
kms_metric_add(KmsMetric *metric, const KmsMetric *other)
{
	int			i;

	if (known(other) > 0)
	{
		if (known(metric) == 0 || other->min_ms < metric->min_ms)
			metric->min_ms = other->min_ms;
		if (other->max_ms > metric->max_ms)
			metric->max_ms = other->max_ms;
	}
	metric->count += other->count;
	metric->sum_ms += other->sum_ms;
	for (i = 0; i < KMS_HISTOGRAM_BUCKETS; i++)
		metric->histogram[i] += other->histogram[i];
}

void
kms_metric_read_histogram(Datum datum, int64 *histogram)
{
	ArrayType  *array = DatumGetArrayTypeP(datum);
	const int64 *values = (const int64 *) ARR_DATA_PTR(array);
	int			count;
	int			i;

	memset(histogram, 0, sizeof(int64) * KMS_HISTOGRAM_BUCKETS);
	if (ARR_NDIM(array) != 1 || ARR_HASNULL(array) ||
		ARR_ELEMTYPE(array) != INT8OID)
		return;
	count = Min(ARR_DIMS(array)[0], KMS_HISTOGRAM_BUCKETS);
	for (i = 0; i < count; i++)
		histogram[i] = values[i];
}

void
kms_metric_store(const KmsMetric *metric)
{
	int			i;

	for (i = 0; i < STORE_TRIES; i++)
	{
		KmsMetric	sum;
		bool		found = read_stored(metric, &sum);

		kms_metric_add(&sum, metric);
		if (write_stored(&sum, found))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not add to kms.metric because of a concurrent change")));
}

static int64
known(const KmsMetric *metric)
{
	int			i;

	for (i = 0; i < KMS_HISTOGRAM_BUCKETS; i++)
	{
		if (metric->histogram[i] != 0)
			return metric->histogram[i];
	}
	return 0;
}

static bool
read_stored(const KmsMetric *metric, KmsMetric *sum)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		found;
	bool		isnull;

	memset(sum, 0, sizeof(*sum));
	sum->bucket = metric->bucket;
	sum->width = metric->width;
	sum->operation = metric->operation;
	sum->status = metric->status;
	sum->reason = metric->reason;

	kms_spi_begin(&spi);
	kms_spi_time(&spi, metric->bucket);
	kms_spi_datum(&spi, INT4OID, Int32GetDatum(metric->width));
	kms_spi_text(&spi, metric->operation);
	kms_spi_text(&spi, metric->status);
	kms_spi_text(&spi, metric->reason);
	kms_spi_run(&spi, &plan,
				"SELECT count, sum_ms, min_ms, max_ms, histogram"
				" FROM kms.metric"
				" WHERE bucket OPERATOR(pg_catalog.=) $1"
				" AND width OPERATOR(pg_catalog.=) $2"
				" AND operation OPERATOR(pg_catalog.=) $3"
				" AND status OPERATOR(pg_catalog.=) $4"
				" AND reason OPERATOR(pg_catalog.=) $5 FOR UPDATE",
				SPI_OK_SELECT);
	found = spi.processed > 0;
	if (found)
	{
		sum->count = DatumGetInt64(kms_spi_field(0, 1, &isnull));
		sum->sum_ms = DatumGetFloat8(kms_spi_field(0, 2, &isnull));
		sum->min_ms = DatumGetFloat8(kms_spi_field(0, 3, &isnull));
		sum->max_ms = DatumGetFloat8(kms_spi_field(0, 4, &isnull));
		kms_metric_read_histogram(kms_spi_field(0, 5, &isnull),
								  sum->histogram);
	}
	kms_spi_end(&spi);
	return found;
}

/* False if the row is not there any more, or is there now. */
static bool
write_stored(const KmsMetric *sum, bool update)
{
	static SPIPlanPtr update_plan = NULL;
	static SPIPlanPtr insert_plan = NULL;
	KmsSpi		spi;
	bool		written;

	kms_spi_begin(&spi);
	kms_spi_time(&spi, sum->bucket);
	kms_spi_datum(&spi, INT4OID, Int32GetDatum(sum->width));
	kms_spi_text(&spi, sum->operation);
	kms_spi_text(&spi, sum->status);
	kms_spi_text(&spi, sum->reason);
	kms_spi_int64(&spi, sum->count);
	kms_spi_double(&spi, sum->sum_ms);
	kms_spi_double(&spi, sum->min_ms);
	kms_spi_double(&spi, sum->max_ms);
	kms_spi_datum(&spi, INT8ARRAYOID, histogram_array(sum->histogram));
	if (update)
		kms_spi_run(&spi, &update_plan,
					"UPDATE kms.metric SET count = $6, sum_ms = $7,"
					" min_ms = $8, max_ms = $9, histogram = $10"
					" WHERE bucket OPERATOR(pg_catalog.=) $1"
					" AND width OPERATOR(pg_catalog.=) $2"
					" AND operation OPERATOR(pg_catalog.=) $3"
					" AND status OPERATOR(pg_catalog.=) $4"
					" AND reason OPERATOR(pg_catalog.=) $5",
					SPI_OK_UPDATE);
	else
		kms_spi_run(&spi, &insert_plan,
					"INSERT INTO kms.metric (bucket, width, operation, status,"
					" reason, count, sum_ms, min_ms, max_ms, histogram)"
					" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
					" ON CONFLICT DO NOTHING",
					SPI_OK_INSERT);
	written = spi.processed > 0;
	kms_spi_end(&spi);
	return written;
}

static Datum
histogram_array(const int64 *histogram)
{
	Datum		values[KMS_HISTOGRAM_BUCKETS];
	int			count = 0;
	int			i;

	for (i = 0; i < KMS_HISTOGRAM_BUCKETS; i++)
	{
		values[i] = Int64GetDatum(histogram[i]);
		if (histogram[i] != 0)
			count = i + 1;
	}
	return PointerGetDatum(construct_array(values, count, INT8OID,
										   sizeof(int64), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}
