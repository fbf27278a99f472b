#include "postgres.h"

#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "pg/month.h"

static void split(TimestampTz at, int *year, int *month);

void
kms_month_of(TimestampTz at, char month[KMS_MONTH_SIZE])
{
	int			year;
	int			number;

	split(at, &year, &number);
	snprintf(month, KMS_MONTH_SIZE, "%04d-%02d", year, number);
}

TimestampTz
kms_month_end(TimestampTz at)
{
	int			year;
	int			month;

	split(at, &year, &month);
	return (TimestampTz) (date2j(year + month / 12, month % 12 + 1, 1) -
						  POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
}

bool
kms_month_is(const char *label)
{
	return strlen(label) == KMS_MONTH_SIZE - 1 &&
		strspn(label, "0123456789") == 4 && label[4] == '-' &&
		strspn(label + 5, "0123456789") == 2 &&
		strcmp(label + 5, "01") >= 0 && strcmp(label + 5, "12") <= 0;
}

/*
 * Split a time.  Times of keys are between years 0 and 9999; limit others to
 * that.
 */
static void
split(TimestampTz at, int *year, int *month)
{
	int64		days = at / USECS_PER_DAY - (at % USECS_PER_DAY < 0 ? 1 : 0);
	int			day;

	days = Max(days, date2j(1, 1, 1) - POSTGRES_EPOCH_JDATE);
	days = Min(days, date2j(9999, 12, 31) - POSTGRES_EPOCH_JDATE);
	j2date((int) days + POSTGRES_EPOCH_JDATE, year, month, &day);
}
