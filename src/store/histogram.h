/*
 * The durations of kms.metric.  Pure C.
 *
 * Bucket i, from 1, counts durations up to 16 us * 2^((i - 1) / 4); the last
 * one all longer.  A stored array leaves out the zeros at both ends; its
 * subscripts are the numbers of the buckets.
 *
 * A percentile is the duration of rank ceil(fraction * timed), as if all had
 * been kept and sorted, within the bounds of that duration's bucket.  So it is
 * at most 2^(1/4) times, 19 %, too long and as much too short (16 %) from
 * 16 us to 11.9 s; below, it is at most 16 us off; above, it lies between
 * 11.9 s and the longest.  Adding histograms keeps all of that.
 */
#ifndef KMS_STORE_HISTOGRAM_H
#define KMS_STORE_HISTOGRAM_H

#include <stdint.h>

#define KMS_HISTOGRAM_BUCKETS 80

/* All zero is empty. */
typedef struct KmsHistogram
{
	int64_t		timed;			/* durations, the sum of counts */
	double		sum_ms;
	double		min_ms;			/* 0, as max_ms, if there are none */
	double		max_ms;
	int64_t		counts[KMS_HISTOGRAM_BUCKETS];
} KmsHistogram;

/* The bucket, from 1, of a duration in microseconds. */
extern int	kms_histogram_bucket(int64_t duration_us);

/* The longest duration in milliseconds that bucket i, from 1, counts. */
extern double kms_histogram_bound(int bucket);

extern void kms_histogram_count(KmsHistogram *histogram, int64_t duration_us);
extern void kms_histogram_add(KmsHistogram *histogram,
							  const KmsHistogram *other);

/*
 * The same from a stored row: "size" counts as int64_t, at any address, from
 * bucket "first" on.  Other buckets than these 80 make it count as empty.
 */
extern void kms_histogram_add_stored(KmsHistogram *histogram, int first,
									 const void *counts, int size,
									 double sum_ms, double min_ms,
									 double max_ms);

/* The first and the last bucket that is not 0; 1 and 0 if all are. */
extern void kms_histogram_range(const KmsHistogram *histogram, int *first,
								int *last);

/*
 * The duration in milliseconds that "fraction" (0 to 1) of those counted do
 * not exceed, interpolated within its bucket and kept between min_ms and
 * max_ms; the mean.  -1 if nothing is counted.
 */
extern double kms_histogram_percentile(const KmsHistogram *histogram,
									   double fraction);
extern double kms_histogram_average(const KmsHistogram *histogram);

#endif							/* KMS_STORE_HISTOGRAM_H */
