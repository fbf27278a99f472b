/* When a thread in the background rests, and for how long. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include "worker/pace.h"

#define MS	UINT64_C(1000000)

static KmsPace pace;
static KmsPaceUse use;

/* Let the thread run and wait so long; return the rest that follows. */
static uint64_t
step(uint64_t ran, uint64_t waited)
{
	use.ran += ran;
	use.waited += waited;
	return kms_pace_judge(&pace, &use);
}

static void
begin(void)
{
	pace = (KmsPace)
	{
		.file = -1
	};
	use = (KmsPaceUse)
	{
		0
	};
}

static void
test_alone(void)
{
	uint64_t	rest = 0;
	int			i;

	begin();
	for (i = 0; i < 10000; i++)
		rest += step(MS / 5, i % 10 == 0 ? MS / 200 : 0);
	check_number((long long) rest, 0, "alone: no rest, in spite of moments for others");
}

/* Let it wait for a part of each step, until it is used to that. */
static uint64_t
settle(int percent)
{
	uint64_t	rest = 0;
	int			i;

	for (i = 0; i < 100; i++)
		rest = step(MS / 100 * (100 - percent), MS / 100 * percent);
	return rest * 100 / (MS / 100 * (100 - percent));
}

static void
test_wanted(void)
{
	long long	rest;
	long long	last = 0;
	int			steps;
	int			percent;

	begin();
	check_number((long long) step(MS / 10, MS / 10), 0, "too little to judge");
	for (percent = 20; percent <= 40; percent += 10)
	{
		rest = (long long) settle(percent);
		check(rest > last + 100, "waits for %d %%: rests %lld %% of what it ran", percent, rest);
		last = rest;
	}
	check_number((long long) settle(60), 1600, "waits for more than half: runs for a seventeenth");
	check_number((long long) settle(99), 1600, "nearly always: runs all the same");
	for (steps = 0, rest = 1; rest > 0 && steps < 1000; steps++)
		rest = (long long) step(MS / 10, 0);
	check(steps >= 10 && steps <= 100, "nobody wants it any more: rests no longer after %d steps", steps);
	check(settle(50) > 0, "others want it again: rests again");
	check_number((long long) step(0, 0), 0, "no time passed");
}

/* The same with the clocks of the system. */
static void
test_thread(void)
{
	bool		stop = false;
	bool		counted = true;
	struct timespec before;
	struct timespec after;

	kms_pace_begin(&pace);
	if (pace.file < 0)
	{
		check(access("/proc/thread-self/schedstat", R_OK) != 0,
			  "without schedstat the thread never rests");
		counted = false;
	}
	kms_pace_step(&pace, &stop);
	if (counted)
		check(pace.last.ran > 0, "the thread knows for how long it ran");

	stop = true;
	pace.waited = 1;
	pace.last.ran -= 100000 * MS;
	clock_gettime(CLOCK_MONOTONIC, &before);
	kms_pace_step(&pace, &stop);
	clock_gettime(CLOCK_MONOTONIC, &after);
	check(after.tv_sec - before.tv_sec < 10, "a thread that must stop does not rest");
	kms_pace_end(&pace);
	check_number(pace.file, -1, "the file is closed");
	kms_pace_step(&pace, &stop);
	kms_pace_end(&pace);
}

int
main(void)
{
	test_alone();
	test_wanted();
	test_thread();
	return tap_done();
}
