/*
 * Percentiles from the histogram against those of the durations themselves,
 * within the bounds that histogram.h states.
 */
#include <math.h>
#include <stdlib.h>

#include "store/histogram.h"
#include "tap.h"

#define MOST 20000
#define BUCKET_WIDTH 1.18920711500272106672 /* 2^(1/4) */
#define FIRST_MS 0.016
#define EXACT 1e-9				/* room for the rounding of doubles */

static const double fractions[] = {0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1};

/* Numbers from 0 to 1, the same in each run. */
static double
random_share(void)
{
	static uint64_t state = 20260101;

	state = state * UINT64_C(6364136223846793005) +
		UINT64_C(1442695040888963407);
	return (double) (state >> 11) / (double) (UINT64_C(1) << 53);
}

static int64_t
constant(void)
{
	return 350;
}

static int64_t
even(void)
{
	return 1 + (int64_t) (random_share() * 1e6);
}

/* As decrypts are: close together, and few that take long. */
static int64_t
exponential(void)
{
	return 320 + (int64_t) (-40 * log(1 - random_share()));
}

static int64_t
over_all_sizes(void)
{
	return (int64_t) exp(random_share() * log(11e6));
}

static int64_t
two_peaks(void)
{
	return random_share() < 0.97 ? 300 + (int64_t) (random_share() * 7) : 2000000 + (int64_t) (random_share() * 1e5);
}

static int64_t
on_the_bounds(void)
{
	return INT64_C(16) << (int) (random_share() * 18);
}

static int64_t
below_the_first_bound(void)
{
	return (int64_t) (random_share() * 17);
}

static int64_t
in_the_last_bucket(void)
{
	return 15000000 + (int64_t) (random_share() * 60e6);
}

typedef int64_t (*Distribution) (void);

static const struct
{
	const char *name;
	Distribution next;
}			distributions[] = {
	{"all the same", constant},
	{"even", even},
	{"exponential", exponential},
	{"over all sizes", over_all_sizes},
	{"two peaks", two_peaks},
	{"on the bounds", on_the_bounds},
	{"below the first bound", below_the_first_bound},
	{"in the last bucket", in_the_last_bucket}
};

static int
by_size(const void *a, const void *b)
{
	int64_t		x = *(const int64_t *) a;
	int64_t		y = *(const int64_t *) b;

	return (x > y) - (x < y);
}

/* The bounds of an estimate that histogram.h promises. */
static bool
is_within(double estimate, double exact, double longest)
{
	double		last = kms_histogram_bound(KMS_HISTOGRAM_BUCKETS - 1);

	if (exact <= FIRST_MS)
		return fabs(estimate - exact) <= FIRST_MS + EXACT;
	if (exact > last)
		return estimate >= last - EXACT && estimate <= longest;
	return estimate <= exact * BUCKET_WIDTH + EXACT &&
		estimate >= exact / BUCKET_WIDTH - EXACT;
}

static void
check_percentiles(const KmsHistogram *histogram, int64_t *durations,
				  int count, const char *name)
{
	bool		within = true;
	size_t		i;

	qsort(durations, count, sizeof(*durations), by_size);
	for (i = 0; i < LENGTH_OF(fractions); i++)
	{
		int			rank = (int) ceil(fractions[i] * count);
		double		exact = (double) durations[rank > 0 ? rank - 1 : 0] / 1000;
		double		estimate = kms_histogram_percentile(histogram,
														fractions[i]);

		if (!is_within(estimate, exact, (double) durations[count - 1] / 1000) ||
			(fractions[i] == 1 && estimate != exact))
		{
			printf("# %s, %d: %g of them up to %.9g ms, found %.9g\n", name,
				   count, fractions[i], exact, estimate);
			within = false;
		}
	}
	check(within, "%s: percentiles of %d are within the bounds", name, count);
}

/* Each also as the sum of "minutes", of which some are empty. */
static void
test_distributions(void)
{
	static int64_t durations[MOST];
	static const int counts[] = {1, 2, 3, 20, 100, 1999, MOST};
	size_t		d;
	size_t		c;

	for (d = 0; d < LENGTH_OF(distributions); d++)
	{
		for (c = 0; c < LENGTH_OF(counts); c++)
		{
			KmsHistogram minutes[60] = {{0}};
			KmsHistogram whole = {0};
			KmsHistogram hour = {0};
			double		sum = 0;
			int			i;

			for (i = 0; i < counts[c]; i++)
			{
				durations[i] = distributions[d].next();
				sum += (double) durations[i] / 1000;
				kms_histogram_count(&whole, durations[i]);
				kms_histogram_count(&minutes[(int) (random_share() * 50)],
									durations[i]);
			}
			for (i = 0; i < 60; i++)
				kms_histogram_add(&hour, &minutes[i]);
			check_percentiles(&whole, durations, counts[c],
							  distributions[d].name);
			check(fabs(hour.sum_ms - sum) <= sum * EXACT &&
				  hour.timed == whole.timed && hour.min_ms == whole.min_ms &&
				  hour.max_ms == whole.max_ms &&
				  memcmp(hour.counts, whole.counts, sizeof(hour.counts)) == 0,
				  "%s: the minutes of %d are their hour",
				  distributions[d].name, counts[c]);
		}
	}
}

static void
test_one(void)
{
	static const int64_t one[] = {0, 1, 16, 17, 350, 11863283, 14107900, 60000000};
	size_t		i;

	for (i = 0; i < LENGTH_OF(one); i++)
	{
		KmsHistogram histogram = {0};
		double		ms = (double) one[i] / 1000;

		kms_histogram_count(&histogram, one[i]);
		check(kms_histogram_percentile(&histogram, 0.5) == ms &&
			  kms_histogram_percentile(&histogram, 0.99) == ms &&
			  kms_histogram_average(&histogram) == ms,
			  "one of %g ms is known exactly", ms);
	}
}

static void
test_none(void)
{
	KmsHistogram histogram = {0};
	KmsHistogram other = {0};
	int			first;
	int			last;

	check(kms_histogram_percentile(&histogram, 0.5) == -1 &&
		  kms_histogram_average(&histogram) == -1, "none has no percentile");
	kms_histogram_range(&histogram, &first, &last);
	check(first == 1 && last == 0, "none has no range");
	kms_histogram_count(&histogram, 350);
	kms_histogram_add(&histogram, &other);
	check(histogram.min_ms == 0.35 && histogram.timed == 1,
		  "adding none does not make 0 the shortest");
}

/* Bounds by the definition, not by the function that is tested. */
static void
test_buckets(void)
{
	bool		ok = true;
	int			i;

	for (i = 1; i < KMS_HISTOGRAM_BUCKETS; i++)
	{
		double		bound = 16 * pow(2, (i - 1) / 4.0);
		int64_t		longest = (int64_t) floor(bound + EXACT);

		ok = ok && fabs(kms_histogram_bound(i) * 1000 - bound) < 1e-6 &&
			kms_histogram_bucket(longest) <= i &&
			kms_histogram_bucket(longest + 1) == i + 1;
	}
	check(ok, "each bucket ends at 16 us * 2^((i - 1) / 4)");
	check(kms_histogram_bucket(0) == 1 && kms_histogram_bucket(INT64_MAX) ==
		  KMS_HISTOGRAM_BUCKETS, "the first and the last take what is beyond");
}

/* As it is stored: a part of the counts, at any address. */
static void
test_stored(void)
{
	KmsHistogram histogram = {0};
	int64_t		counts[] = {1, 0, 2};
	char		bytes[sizeof(counts) + 1];
	int			first;
	int			last;

	memcpy(bytes + 1, counts, sizeof(counts));
	kms_histogram_add_stored(&histogram, 78, bytes + 1, 3, 30, 9, 11);
	kms_histogram_range(&histogram, &first, &last);
	check(histogram.timed == 3 && histogram.counts[77] == 1 &&
		  histogram.counts[79] == 2 && first == 78 && last == 80,
		  "a stored part goes to its buckets");
	kms_histogram_add_stored(&histogram, 79, bytes + 1, 3, 30, 9, 11);
	kms_histogram_add_stored(&histogram, 0, bytes + 1, 3, 30, 9, 11);
	kms_histogram_add_stored(&histogram, 1, bytes + 1, -1, 30, 9, 11);
	kms_histogram_add_stored(&histogram, INT32_MAX, bytes + 1, 3, 30, 9, 11);
	kms_histogram_add_stored(&histogram, 1, bytes + 1, INT32_MAX, 30, 9, 11);
	check_number(histogram.timed, 3, "what is no bucket is not counted");
}

int
main(void)
{
	test_buckets();
	test_none();
	test_one();
	test_distributions();
	test_stored();
	return tap_done();
}
