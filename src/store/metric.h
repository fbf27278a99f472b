/*
 * Counting events into kms.metric.
 */
#ifndef KMS_STORE_METRIC_H
#define KMS_STORE_METRIC_H

#include "datatype/timestamp.h"
#include "utils/relcache.h"

#include "store/histogram.h"

#define KMS_METRIC_MINUTE	60
#define KMS_METRIC_HOUR		3600

/* Columns of kms.metric, from 1. */
enum
{
	KMS_METRIC_BUCKET = 1, KMS_METRIC_WIDTH, KMS_METRIC_OPERATION,
	KMS_METRIC_STATUS, KMS_METRIC_REASON, KMS_METRIC_COUNT, KMS_METRIC_SUM,
	KMS_METRIC_MIN, KMS_METRIC_MAX, KMS_METRIC_HISTOGRAM,
	KMS_METRIC_COLUMNS = KMS_METRIC_HISTOGRAM
};

/* A row of kms.metric, or what is to be added to one. */
typedef struct KmsMetric
{
	TimestampTz bucket;			/* start of the minute or hour */
	int			width;			/* seconds */
	const char *operation;
	const char *status;
	const char *reason;			/* "" for successes */
	int64		count;			/* of all events, also those without a
								 * duration */
	KmsHistogram durations;
} KmsMetric;

/* Return the start of the minute or hour of a time. */
extern TimestampTz kms_metric_bucket(TimestampTz time, int width);

/*
 * Add one event, or another row, to *metric.  The duration is in microseconds,
 * -1 if it is unknown.  It is counted only if "calls" is 1.
 */
extern void kms_metric_count(KmsMetric *metric, int64 calls,
							 int64 duration_us);
extern void kms_metric_add(KmsMetric *metric, const KmsMetric *other);

/*
 * Add the columns count, sum_ms, min_ms, max_ms, histogram of a row.  A
 * histogram that is not an array of bigint counts as empty.
 */
extern void kms_metric_add_row(KmsMetric *metric, const Datum *columns);

/* Open kms.metric for reading.  Raise an error if it has other columns. */
extern Relation kms_metric_open(void);

/* Add to the stored row, or insert it if there is none. */
extern void kms_metric_store(const KmsMetric *metric);

#endif							/* KMS_STORE_METRIC_H */
