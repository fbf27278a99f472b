/*
 * The clock of maintenance decides what is due to be swept or deleted.
 * Whether a key may be used is decided by the server's clock.
 *
 * The clock follows the server's clock, but never faster than the machine's
 * run time explains (shmem/slow_clock.h).  So a wrong server's clock destroys
 * nothing.  The clock is stored in kms.maintenance, sealed under the current
 * master key over the canonical form in shmem/slow_clock.h.
 *
 * If no clock is stored, or if it does not authenticate, the clock begins with
 * the youngest row of the database that authenticates and is not from the
 * future: a key with an id as it is made here, or a signature of the trail.
 * After a restore, only rows from before the restore count.  The clock is
 * never set ahead of what the server has remembered of it since its start.  If
 * the master key of the stored clock is missing, only this memory tells the
 * time.
 */
#ifndef KMS_KEYS_CLOCK_H
#define KMS_KEYS_CLOCK_H

#include "datatype/timestamp.h"

typedef struct KmsClock
{
	bool		known;			/* false: nothing may be deleted */
	TimestampTz server;			/* the server's clock */
	TimestampTz kept;			/* the clock of maintenance */
	TimestampTz due;			/* the earlier one, by which rows are due */
	TimestampTz latest;			/* the later one; rows beyond it are from the
								 * future */
} KmsClock;

/*
 * Read the clock without writing anything.  It is unknown if there is no
 * master key, or if there is no row to begin with.
 */
extern void kms_clock_read(KmsClock *clock);

/*
 * Read the clock for maintenance, and store it in the current transaction
 * unless another transaction holds the row.  "confirm" sets the clock to the
 * server's clock: then wait for the row, and raise KM007 if there is no master
 * key.
 */
extern void kms_clock_advance(bool confirm, KmsClock *clock);

/* A larger difference from the server's clock is reported, in microseconds. */
#define KMS_CLOCK_TOLERANCE (INT64CONST(3600) * 1000000)

#endif							/* KMS_KEYS_CLOCK_H */
