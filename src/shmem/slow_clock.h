/*
 * The slow clock: a clock that follows the server's clock, but never faster
 * than the machine's run time explains.
 *
 * Anything that must not happen too early is judged by this clock, so that a
 * server's clock that is wrong, by a day or by ten years, causes no harm.  The
 * code uses neither PostgreSQL nor the system: the caller reads the clocks.
 *
 * Times are in microseconds: clocks since 2000-01-01 UTC, the run time since
 * the machine started (CLOCK_BOOTTIME).
 */
#ifndef KMS_SHMEM_SLOW_CLOCK_H
#define KMS_SHMEM_SLOW_CLOCK_H

#include <stdint.h>

#include "crypto/encoder.h"

#define KMS_SLOW_CLOCK_BOOT 37	/* bytes with the NUL */

typedef struct KmsSlowClock
{
	int64_t		at;				/* time of the slow clock */
	int64_t		run_time;		/* of the machine at that moment */
	char		boot[KMS_SLOW_CLOCK_BOOT];	/* start of the machine; "" if not
											 * known */
} KmsSlowClock;

/*
 * Return the present time of a clock that was stored.  "now" has the server's
 * clock, the run time and the start of the machine.
 *
 * If the start of the machine is the same, the clock moves towards the
 * server's clock by at most twice the run time in between; otherwise by at
 * most a day.  It never goes back.  If the run time is less than the stored
 * one (a restored virtual machine), the clock does not move.
 */
extern KmsSlowClock kms_slow_clock_advance(const KmsSlowClock *kept,
										   const KmsSlowClock *now);

/*
 * Return the initial clock if none was stored.  "youngest" is the time of the
 * youngest row, and a day may have passed since then.
 */
extern KmsSlowClock kms_slow_clock_begin(int64_t youngest,
										 const KmsSlowClock *now);

/*
 * Append the canonical form, which is sealed (crypto/seal.h):
 * lp("kms/clock/v1") | lp(home) | i64(at) | i64(run time) | lp(boot).  "home"
 * is the database.  No row of kms.key has the same encoding: there, the high
 * half of "at" would be the length of an app version, and is too large for
 * one.
 */
extern void kms_slow_clock_encode(const KmsSlowClock *clock, const char *home,
								  KmsEncoder *encoder);

#endif							/* KMS_SHMEM_SLOW_CLOCK_H */
