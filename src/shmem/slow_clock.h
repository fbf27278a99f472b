/*
 * The slow clock: a clock that follows the server's clock, but never faster
 * than the machine's run time explains.
 *
 * What must not happen too early is judged by it, so that a server's clock
 * that is wrong, by a day or by ten years, causes nothing.  It knows neither
 * PostgreSQL nor the system: the caller reads the clocks.
 *
 * Times are microseconds; those of a clock are since 2000-01-01 UTC, the run
 * time is that of the machine since it started (CLOCK_BOOTTIME).
 */
#ifndef KMS_SHMEM_SLOW_CLOCK_H
#define KMS_SHMEM_SLOW_CLOCK_H

#include <stdint.h>

#include "crypto/encoder.h"

#define KMS_SLOW_CLOCK_BOOT 37	/* bytes with the NUL */

typedef struct KmsSlowClock
{
	int64_t		at;				/* what the clock says */
	int64_t		run_time;		/* of the machine at that moment */
	char		boot[KMS_SLOW_CLOCK_BOOT];	/* which start of the machine; "":
											 * not known */
} KmsSlowClock;

/*
 * Return what a clock that was kept says now.  "now" has the server's clock,
 * the run time and the start of the machine.
 *
 * On the same start of the machine it moves towards the server's clock by at
 * most twice the run time since then, on another one by at most a day.  It
 * never goes back.  A run time that is less than the one kept (a virtual
 * machine that was restored) explains nothing.
 */
extern KmsSlowClock kms_slow_clock_advance(const KmsSlowClock *kept,
										   const KmsSlowClock *now);

/*
 * Return the clock to begin with if none was kept: "youngest" is the time of
 * the youngest row that there is, and a day may have passed since.
 */
extern KmsSlowClock kms_slow_clock_begin(int64_t youngest,
										 const KmsSlowClock *now);

/*
 * The canonical form, which is sealed (crypto/wrap.h): lp("kms/clock/v1") |
 * lp(home) | i64(at) | i64(run time) | lp(boot).  "home" is the database.  No
 * row of kms.key has the same encoding: there, the high half of "at" would be
 * the length of an app version, and is too large for one.
 */
extern void kms_slow_clock_encode(const KmsSlowClock *clock, const char *home,
								  KmsEncoder *encoder);

#endif							/* KMS_SHMEM_SLOW_CLOCK_H */
