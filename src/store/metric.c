#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "pg/compat.h"
#include "store/metric.h"
#include "pg/errors.h"
#include "store/spi.h"

/* How often another session may be first to make the row. */
#define STORE_TRIES 3

/* An array of one dimension without nulls, after its length. */
typedef struct ArrayHead
{
	int32		ndim;
	int32		dataoffset;
	Oid			elemtype;
	int32		dim;
	int32		lower;
} ArrayHead;

static bool read_stored(const KmsMetric *metric, KmsMetric *sum);
static bool write_stored(const KmsMetric *sum, bool update);
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

/* A summary does this for each row: the array is read where it lies. */
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
			 errmsg("could not add to kms.metric because of a concurrent change"),
			 KMS_HIDE_STATEMENT));
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
		Datum		columns[5];
		int			i;

		for (i = 0; i < 5; i++)
			columns[i] = kms_spi_field(0, i + 1, &isnull);
		kms_metric_add_row(sum, columns);
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
	kms_spi_double(&spi, sum->durations.sum_ms);
	kms_spi_double(&spi, sum->durations.min_ms);
	kms_spi_double(&spi, sum->durations.max_ms);
	kms_spi_datum(&spi, INT8ARRAYOID, histogram_array(&sum->durations));
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
