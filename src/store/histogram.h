/*
 * The durations of kms.metric.  Pure C.
 *
 * Bucket i, from 1, counts durations up to 16 us * 2^((i - 1) / 4).  The last
 * one counts all longer ones.  A stored array omits the zeros at both ends.
 * Its subscripts are the numbers of the buckets.
 *
 * A percentile is the duration of rank ceil(fraction * timed), as if all
 * durations had been stored and sorted, within the bounds of that duration's
 * bucket.  From 16 us to 11.9 s it is at most 2^(1/4) times too long (19 %) or
 * too short (16 %).  Below, it is at most 16 us off.  Above, it lies between
 * 11.9 s and the longest duration.  Adding histograms keeps these bounds.
 */
#ifndef KMS_STORE_HISTOGRAM_H
#define KMS_STORE_HISTOGRAM_H

#include <stdint.h>

#define KMS_HISTOGRAM_BUCKETS 80

/* Empty if all zero. */
typedef struct KmsHistogram
{
	int64_t		timed;			/* number of durations, the sum of counts */
	double		sum_ms;
	double		min_ms;			/* 0, like max_ms, if there are none */
	double		max_ms;
	int64_t		counts[KMS_HISTOGRAM_BUCKETS];
} KmsHistogram;

/* Return the bucket, from 1, of a duration in microseconds. */
extern int	kms_histogram_bucket(int64_t duration_us);

/*
 * Return the longest duration in milliseconds that bucket i, from 1, counts.
 */
extern double kms_histogram_bound(int bucket);

/* Count a duration in microseconds; add another histogram. */
extern void kms_histogram_count(KmsHistogram *histogram, int64_t duration_us);
extern void kms_histogram_add(KmsHistogram *histogram,
							  const KmsHistogram *other);

/*
 * Do the same with a stored row: "size" counts of type int64_t, at any
 * address, from bucket "first" on.  A row with buckets outside of 1 to 80
 * counts as empty.
 */
extern void kms_histogram_add_stored(KmsHistogram *histogram, int first,
									 const void *counts, int size,
									 double sum_ms, double min_ms,
									 double max_ms);

/* Set the first and the last bucket that is not 0; 1 and 0 if all are. */
extern void kms_histogram_range(const KmsHistogram *histogram, int *first,
								int *last);

/*
 * Return the duration in milliseconds that "fraction" (0 to 1) of the counted
 * durations do not exceed, interpolated within its bucket and kept between
 * min_ms and max_ms; kms_histogram_average returns the mean.  Both return -1
 * if nothing was counted.
 */
extern double kms_histogram_percentile(const KmsHistogram *histogram,
									   double fraction);
extern double kms_histogram_average(const KmsHistogram *histogram);

#endif							/* KMS_STORE_HISTOGRAM_H */
