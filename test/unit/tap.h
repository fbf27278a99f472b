/*
 * The Test Anything Protocol for C: check() prints one line, tap_done() the
 * plan.  A program ends with "return tap_done();".
 */
#ifndef KMS_TEST_TAP_H
#define KMS_TEST_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LENGTH_OF(array) (sizeof(array) / sizeof((array)[0]))

typedef struct Tap
{
	int			count;
	int			failed;
} Tap;

static Tap	tap;

static inline bool check(bool ok, const char *format,...)
			__attribute__((format(printf, 2, 3)));

static inline bool
check(bool ok, const char *format,...)
{
	va_list		args;

	tap.count++;
	if (!ok)
		tap.failed++;
	printf("%sok %d - ", ok ? "" : "not ", tap.count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	return ok;
}

/* "is", with both numbers shown where they differ. */
static inline bool
check_number(long long found, long long expected, const char *name)
{
	bool		ok = check(found == expected, "%s", name);

	if (!ok)
		printf("# found %lld, expected %lld\n", found, expected);
	return ok;
}

static inline int
tap_done(void)
{
	printf("1..%d\n", tap.count);
	return tap.failed > 0 ? 1 : 0;
}

static inline bool
is_all(const void *data, size_t len, unsigned char byte)
{
	const unsigned char *bytes = data;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (bytes[i] != byte)
			return false;
	}
	return true;
}

#endif							/* KMS_TEST_TAP_H */
