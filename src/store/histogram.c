#include <string.h>

#include "store/histogram.h"

static void add_durations(KmsHistogram *histogram, int64_t timed,
						  double sum_ms, double min_ms, double max_ms);

static double
bound_us(int bucket)
{
	/* 2^(0/4) to 2^(3/4) */
	static const double quarter[4] = {
		1.0, 1.18920711500272106672, 1.41421356237309504880,
		1.68179283050742908606
	};

	return quarter[(bucket - 1) % 4] *
		(double) (INT64_C(16) << ((bucket - 1) / 4));
}

int
kms_histogram_bucket(int64_t duration_us)
{
	int			low = 1;
	int			high = KMS_HISTOGRAM_BUCKETS;

	/* find the first bucket whose bound is not exceeded */
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if ((double) duration_us <= bound_us(middle))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

double
kms_histogram_bound(int bucket)
{
	return bound_us(bucket) / 1000.0;
}

void
kms_histogram_count(KmsHistogram *histogram, int64_t duration_us)
{
	double		ms = (double) duration_us / 1000.0;

	histogram->counts[kms_histogram_bucket(duration_us) - 1]++;
	add_durations(histogram, 1, ms, ms, ms);
}

void
kms_histogram_add(KmsHistogram *histogram, const KmsHistogram *other)
{
	kms_histogram_add_stored(histogram, 1, other->counts,
							 KMS_HISTOGRAM_BUCKETS, other->sum_ms,
							 other->min_ms, other->max_ms);
}

void
kms_histogram_add_stored(KmsHistogram *histogram, int first,
						 const void *counts, int size, double sum_ms,
						 double min_ms, double max_ms)
{
	const unsigned char *next = counts;
	int64_t		timed = 0;
	int			i;

	if (first < 1 || size < 0 || size > KMS_HISTOGRAM_BUCKETS ||
		first > KMS_HISTOGRAM_BUCKETS + 1 - size)
		return;
	for (i = first - 1; i < first - 1 + size; i++, next += sizeof(int64_t))
	{
		int64_t		count;

		memcpy(&count, next, sizeof(count));
		histogram->counts[i] += count;
		timed += count;
	}
	if (timed > 0)
		add_durations(histogram, timed, sum_ms, min_ms, max_ms);
}

void
kms_histogram_range(const KmsHistogram *histogram, int *first, int *last)
{
	int			i;

	*first = 1;
	*last = 0;
	for (i = KMS_HISTOGRAM_BUCKETS; i >= 1; i--)
	{
		if (histogram->counts[i - 1] == 0)
			continue;
		*first = i;
		if (*last == 0)
			*last = i;
	}
}

static void
add_durations(KmsHistogram *histogram, int64_t timed, double sum_ms,
			  double min_ms, double max_ms)
{
	if (histogram->timed == 0 || min_ms < histogram->min_ms)
		histogram->min_ms = min_ms;
	if (histogram->timed == 0 || max_ms > histogram->max_ms)
		histogram->max_ms = max_ms;
	histogram->timed += timed;
	histogram->sum_ms += sum_ms;
}

double
kms_histogram_percentile(const KmsHistogram *histogram, double fraction)
{
	double		wanted = fraction * (double) histogram->timed;
	double		value = histogram->max_ms;
	int64_t		before = 0;
	int			i;

	if (histogram->timed <= 0)
		return -1;
	for (i = 0; i < KMS_HISTOGRAM_BUCKETS; i++)
	{
		int64_t		count = histogram->counts[i];

		if (count > 0 && (double) (before + count) >= wanted)
		{
			double		low = i == 0 ? 0 : kms_histogram_bound(i);
			double		high = i + 1 == KMS_HISTOGRAM_BUCKETS ?
			histogram->max_ms : kms_histogram_bound(i + 1);

			value = low + (high - low) *
				((wanted - (double) before) / (double) count);
			break;
		}
		before += count;
	}
	if (value > histogram->max_ms)
		value = histogram->max_ms;
	if (value < histogram->min_ms)
		value = histogram->min_ms;
	return value;
}

double
kms_histogram_average(const KmsHistogram *histogram)
{
	return histogram->timed > 0 ?
		histogram->sum_ms / (double) histogram->timed : -1;
}
