#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "worker/next_round.h"

#include "pg/compat.h"
#include "pg/wait_event.h"

#define LONGEST_NAP_MS	60000

static TimestampTz next_round_at = 0;	/* 0 if no time is named */

void
kms_next_round_clear(void)
{
	next_round_at = 0;
}

void
kms_next_round_by(TimestampTz at)
{
	if (next_round_at == 0 || at < next_round_at)
		next_round_at = at;
}

void
kms_next_round_after(TimestampTz now, int milliseconds)
{
	kms_next_round_by(TimestampTzPlusMilliseconds(now, milliseconds));
}

void
kms_next_round_await(void)
{
	TimestampTz now = GetCurrentTimestamp();
	long		nap = LONGEST_NAP_MS;

	if (next_round_at != 0)
		nap = Min(nap, TimestampDifferenceMilliseconds(now,
													   next_round_at) + 1);
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 nap, kms_wait_event(KMS_WAIT_LAUNCHER_IDLE));
}
