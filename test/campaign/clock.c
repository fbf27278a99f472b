/*
 * The clock of the servers of test/faults, which is wrong at times: the real
 * one plus the seconds (int64) in the file that $KMS_CLOCK names.  All
 * processes map that file, so that they see a jump at the same moment.  Clocks
 * that count from the start of the machine are right.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t right = 0;
static const volatile int64_t *offset = &right;
static int	(*real_clock_gettime) (clockid_t, struct timespec *);

static __attribute__((constructor))
void
map_clock(void)
{
	const char *path = getenv("KMS_CLOCK");
	int			file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void	   *map = MAP_FAILED;

	*(void **) &real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
	if (file >= 0)
	{
		map = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, file, 0);
		close(file);
	}
	if (real_clock_gettime == NULL || map == MAP_FAILED)
		abort();
	offset = map;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int			result = real_clock_gettime(clock, now);

	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		now->tv_sec += *offset;
	return result;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec time;

	(void) zone;
	clock_gettime(CLOCK_REALTIME, &time);
	now->tv_sec = time.tv_sec;
	now->tv_usec = time.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *copy)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (copy != NULL)
		*copy = now.tv_sec;
	return now.tv_sec;
}
