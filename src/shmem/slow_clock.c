#include <string.h>

#include "shmem/slow_clock.h"

#define DAY INT64_C(86400000000)
#define CATCH_UP 2				/* times the run time, while it is behind */

static KmsSlowClock move(int64_t from, int64_t by, const KmsSlowClock *now);

KmsSlowClock
kms_slow_clock_advance(const KmsSlowClock *kept, const KmsSlowClock *now)
{
	int64_t		ran = now->run_time - kept->run_time;

	if (strcmp(kept->boot, now->boot) != 0)
		return move(kept->at, DAY, now);
	return move(kept->at, ran > 0 ? CATCH_UP * ran : 0, now);
}

KmsSlowClock
kms_slow_clock_begin(int64_t youngest, const KmsSlowClock *now)
{
	return move(youngest, DAY, now);
}

/* Move the clock by at most "by", and not beyond the server's clock. */
static KmsSlowClock
move(int64_t from, int64_t by, const KmsSlowClock *now)
{
	KmsSlowClock moved = *now;

	if (now->at <= from)
		moved.at = from;
	else if (now->at - from > by)
		moved.at = from + by;
	return moved;
}

void
kms_slow_clock_encode(const KmsSlowClock *clock, const char *home,
					  KmsEncoder *encoder)
{
	kms_encoder_text(encoder, "kms/clock/v1");
	kms_encoder_text(encoder, home);
	kms_encoder_int64(encoder, clock->at);
	kms_encoder_int64(encoder, clock->run_time);
	kms_encoder_text(encoder, clock->boot);
}
