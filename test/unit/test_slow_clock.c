/* The formula of the slow clock, case by case, and what is sealed of it. */
#include <stdlib.h>

#include "shmem/slow_clock.h"
#include "tap.h"

#define SECOND	INT64_C(1000000)
#define HOUR	(3600 * SECOND)
#define DAY		(24 * HOUR)
#define T		(9800 * DAY)	/* November 2026 */

static KmsSlowClock
moment(int64_t at, int64_t run_time, const char *boot)
{
	KmsSlowClock clock;

	memset(&clock, 0, sizeof(clock));
	clock.at = at;
	clock.run_time = run_time;
	snprintf(clock.boot, sizeof(clock.boot), "%s", boot);
	return clock;
}

typedef struct Case
{
	const char *name;
	int64_t		kept_at;
	int64_t		kept_run_time;
	const char *kept_boot;
	int64_t		server;
	int64_t		run_time;
	const char *boot;
	int64_t		expected;
} Case;

static const Case cases[] = {
	{"five minutes pass", T, HOUR, "a", T + 300 * SECOND, HOUR + 300 * SECOND, "a", T + 300 * SECOND},
	{"no time passes", T, HOUR, "a", T, HOUR, "a", T},
	{"the server's clock is slewed, not faster than twice", T, HOUR, "a", T + 550 * SECOND, HOUR + 300 * SECOND, "a", T + 550 * SECOND},
	{"+200 days within five minutes", T, HOUR, "a", T + 200 * DAY, HOUR + 300 * SECOND, "a", T + 600 * SECOND},
	{"the year 2036 within a second", T, HOUR, "a", T + 3700 * DAY, HOUR + SECOND, "a", T + 2 * SECOND},
	{"the largest time that there is", T, HOUR, "a", INT64_MAX, HOUR + SECOND, "a", T + 2 * SECOND},
	{"back by a day", T, HOUR, "a", T - DAY, HOUR + 300 * SECOND, "a", T},
	{"the least time that there is", T, HOUR, "a", INT64_MIN, HOUR + 300 * SECOND, "a", T},
	{"a suspended machine: the run time went on", T, HOUR, "a", T + 30 * DAY, HOUR + 30 * DAY, "a", T + 30 * DAY},
	{"the server was off, the machine was not", T, HOUR, "a", T + 90 * DAY, HOUR + 90 * DAY, "a", T + 90 * DAY},
	{"behind by 90 days it catches up at twice the pace", T, HOUR, "a", T + 90 * DAY, HOUR + 10 * DAY, "a", T + 20 * DAY},
	{"the machine was started again", T, 50 * DAY, "a", T + HOUR, 60 * SECOND, "b", T + HOUR},
	{"it was off for three months: a day for the start", T, 50 * DAY, "a", T + 90 * DAY, 60 * SECOND, "b", T + DAY},
	{"another start, clock back", T, 50 * DAY, "a", T - DAY, 60 * SECOND, "b", T},
	{"another start, a longer run time explains nothing", T, HOUR, "a", T + 90 * DAY, 80 * DAY, "b", T + DAY},
	{"a machine restored from a snapshot: less run time", T, 50 * DAY, "a", T + 90 * DAY, 20 * DAY, "a", T},
	{"no ids of starts: run time alone", T, HOUR, "", T + 90 * DAY, HOUR + 300 * SECOND, "", T + 600 * SECOND},
	{"no ids of starts, started again", T, 50 * DAY, "", T + 90 * DAY, 60 * SECOND, "", T},
	{"a system that tells no id any more", T, HOUR, "a", T + 90 * DAY, 2 * HOUR, "", T + DAY},
};

static void
test_advance(void)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(cases); i++)
	{
		const Case *c = &cases[i];
		KmsSlowClock kept = moment(c->kept_at, c->kept_run_time, c->kept_boot);
		KmsSlowClock now = moment(c->server, c->run_time, c->boot);
		KmsSlowClock moved = kms_slow_clock_advance(&kept, &now);

		check_number(moved.at, c->expected, c->name);
		check(moved.run_time == c->run_time &&
			  strcmp(moved.boot, c->boot) == 0,
			  "%s: it is kept with the present run time", c->name);
	}
}

/* However often it is looked at, the sum is no more than one look gives. */
static void
test_steps(void)
{
	KmsSlowClock often = moment(T, 0, "a");
	KmsSlowClock now;
	int			i;

	for (i = 1; i <= 10000; i++)
	{
		now = moment(T + 200 * DAY, i * SECOND, "a");
		often = kms_slow_clock_advance(&often, &now);
	}
	check_number(often.at, T + 20000 * SECOND, "ten thousand looks at +200 days");

	now = moment(T + 10000 * SECOND, 10001 * SECOND, "a");
	often = kms_slow_clock_advance(&often, &now);
	check_number(often.at, T + 20000 * SECOND,
				 "the slow clock stands when the clock is correct again");
	now = moment(T + 30000 * SECOND, 30001 * SECOND, "a");
	often = kms_slow_clock_advance(&often, &now);
	check_number(often.at, T + 30000 * SECOND,
				 "the slow clock then goes on with the clock");
}

static void
test_begin(void)
{
	KmsSlowClock now = moment(T + HOUR, 60 * SECOND, "a");
	KmsSlowClock begun = kms_slow_clock_begin(T, &now);

	check_number(begun.at, T + HOUR,
				 "the slow clock begins with the clock of the server");
	check(begun.run_time == now.run_time && strcmp(begun.boot, "a") == 0,
		  "the slow clock begins with the present run time");
	now.at = T + 200 * DAY;
	check_number(kms_slow_clock_begin(T, &now).at, T + DAY,
				 "or a day after the youngest row");
	now.at = T;
	check_number(kms_slow_clock_begin(T, &now).at, T, "or with the row");
}

static void
test_encoding(void)
{
	static const unsigned char expected[] =
	"\0\0\0\014kms/clock/v1"
	"\0\0\0\0037/5"
	"\0\003\001\002\003\004\005\006"
	"\0\0\0\0\0\0\001\002"
	"\0\0\0\004abcd";
	unsigned char data[128];
	KmsSlowClock clock = moment(INT64_C(0x0003010203040506), 0x0102, "abcd");
	KmsEncoder	encoder;

	kms_encoder_init(&encoder, data, sizeof(data));
	kms_slow_clock_encode(&clock, "7/5", &encoder);
	check(kms_encoder_ok(&encoder) && encoder.len == sizeof(expected) - 1 &&
		  memcmp(data, expected, encoder.len) == 0,
		  "the bytes that are sealed");
}

int
main(void)
{
	test_advance();
	test_steps();
	test_begin();
	test_encoding();
	return tap_done();
}
