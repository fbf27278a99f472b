#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "worker/pace.h"

#define STEP_NS		500000		/* least work between two looks */
#define SHARE		0.1			/* of a step in the average */
#define ACCEPTED	0.1			/* rest if it waited for more */
#define STEEPNESS	128.0
#define REST_MOST	16.0		/* times as long as it ran */
#define NAP_NS		20000000	/* look this often whether to stop */

static bool read_use(const KmsPace *pace, KmsPaceUse *use);
static void rest_for(uint64_t ns, const bool *stop);

void
kms_pace_begin(KmsPace *pace)
{
	pace->waited = 0;
	pace->file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	if (pace->file >= 0 && !read_use(pace, &pace->last))
		kms_pace_end(pace);
}

void
kms_pace_step(KmsPace *pace, const bool *stop)
{
	KmsPaceUse	use;
	uint64_t	rest;

	if (pace->file < 0 || !read_use(pace, &use))
		return;
	rest = kms_pace_judge(pace, &use);
	if (rest > 0)
		rest_for(rest, stop);
}

void
kms_pace_end(KmsPace *pace)
{
	if (pace->file >= 0)
		close(pace->file);
	pace->file = -1;
}

/*
 * A thread that waits little has a core for itself.  If it waits for a third
 * of the time, others want every core, and it keeps a seventeenth of one.
 */
uint64_t
kms_pace_judge(KmsPace *pace, const KmsPaceUse *use)
{
	uint64_t	ran = use->ran - pace->last.ran;
	uint64_t	waited = use->waited - pace->last.waited;
	double		rest;

	if (ran + waited == 0 ||
		(ran + waited < STEP_NS && pace->waited <= ACCEPTED))
		return 0;
	pace->last = *use;
	pace->waited += SHARE * ((double) waited / (double) (ran + waited) - pace->waited);
	if (pace->waited <= ACCEPTED)
		return 0;
	rest = STEEPNESS * pace->waited * pace->waited;
	return (uint64_t) ((rest < REST_MOST ? rest : REST_MOST) * (double) ran);
}

static bool
read_use(const KmsPace *pace, KmsPaceUse *use)
{
	char		line[96];
	ssize_t		len = pread(pace->file, line, sizeof(line) - 1, 0);
	unsigned long long ran;
	unsigned long long waited;

	if (len <= 0)
		return false;
	line[len] = '\0';

	if (sscanf(line, "%llu %llu", &ran, &waited) != 2)
		return false;
	use->ran = ran;
	use->waited = waited;
	return true;
}

static void
rest_for(uint64_t ns, const bool *stop)
{
	while (ns > 0 && !__atomic_load_n(stop, __ATOMIC_RELAXED))
	{
		uint64_t	nap = ns < NAP_NS ? ns : NAP_NS;
		struct timespec time = {0, (long) nap};

		(void) nanosleep(&time, NULL);
		ns -= nap;
	}
}
