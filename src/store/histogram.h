/*
 * The latency histogram of kms.metric.  Pure C.
 *
 * Bucket i, from 1, counts durations up to 16 us * 2^((i - 1) / 4); the last
 * one all longer.  A stored array leaves out trailing zeros.
 */
#ifndef KMS_STORE_HISTOGRAM_H
#define KMS_STORE_HISTOGRAM_H

#include <stdint.h>

#define KMS_HISTOGRAM_BUCKETS 80

/* The bucket, from 1, of a duration in microseconds. */
extern int	kms_histogram_bucket(int64_t duration_us);

/* The longest duration in milliseconds that bucket i, from 1, counts. */
extern double kms_histogram_bound(int bucket);

/*
 * The duration in milliseconds that "fraction" (0 to 1) of those counted do
 * not exceed, interpolated within its bucket and kept between min_ms and
 * max_ms; -1 if nothing is counted.  "buckets" is how many counts there are.
 */
extern double kms_histogram_percentile(const int64_t *counts, int buckets,
									   double fraction,
									   double min_ms, double max_ms);

#endif							/* KMS_STORE_HISTOGRAM_H */
