/*
 * When the launcher begins its next round.
 *
 * Each part of a round names the time at which it has to be called again; the
 * earliest of these times counts.
 */
#ifndef KMS_WORKER_NEXT_ROUND_H
#define KMS_WORKER_NEXT_ROUND_H

#include "datatype/timestamp.h"

/* A round begins: no time is named. */
extern void kms_next_round_clear(void);

/* Begin the next round at "at" or earlier. */
extern void kms_next_round_by(TimestampTz at);

/* The same, so many milliseconds after "now". */
extern void kms_next_round_after(TimestampTz now, int milliseconds);

/* Wait until the latch is set or the time has come, a minute at most. */
extern void kms_next_round_await(void);

#endif							/* KMS_WORKER_NEXT_ROUND_H */
