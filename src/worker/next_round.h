/*
 * The time at which the launcher begins its next round.
 *
 * Each part of a round names the time at which it has to be called again.  The
 * earliest of these times counts.
 */
#ifndef KMS_WORKER_NEXT_ROUND_H
#define KMS_WORKER_NEXT_ROUND_H

#include "datatype/timestamp.h"

/* Forget all times; call at the beginning of a round. */
extern void kms_next_round_clear(void);

/* Begin the next round at "at" or earlier. */
extern void kms_next_round_by(TimestampTz at);

/* Begin the next round "milliseconds" after "now" or earlier. */
extern void kms_next_round_after(TimestampTz now, int milliseconds);

/* Wait until the latch is set or the time has come, at most a minute. */
extern void kms_next_round_await(void);

#endif							/* KMS_WORKER_NEXT_ROUND_H */
