#include "store/histogram.h"

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

	/* the first bucket whose bound is not exceeded */
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

double
kms_histogram_percentile(const int64_t *counts, int buckets, double fraction,
						 double min_ms, double max_ms)
{
	int64_t		total = 0;
	int64_t		before = 0;
	double		wanted;
	double		value = max_ms;
	int			i;

	for (i = 0; i < buckets; i++)
		total += counts[i];
	if (total <= 0)
		return -1;

	wanted = fraction * (double) total;
	for (i = 0; i < buckets; i++)
	{
		if (counts[i] > 0 && (double) (before + counts[i]) >= wanted)
		{
			double		low = i == 0 ? 0 : kms_histogram_bound(i);
			double		high = i + 1 >= KMS_HISTOGRAM_BUCKETS ? max_ms :
			kms_histogram_bound(i + 1);
			double		share = (wanted - (double) before) / (double) counts[i];

			value = low + (high - low) * (share < 0 ? 0 : share);
			break;
		}
		before += counts[i];
	}
	if (value > max_ms)
		value = max_ms;
	if (value < min_ms)
		value = min_ms;
	return value;
}
