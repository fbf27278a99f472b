/*
 * The clock of maintenance: what is deleted or swept is judged by it.
 *
 * It follows the server's clock and is never faster than the machine's run
 * time explains (shmem/slow_clock.h), so a server's clock that is wrong
 * destroys nothing.  kms.maintenance keeps it, sealed under the current master
 * key over the canonical form in shmem/slow_clock.h.  If none is kept, or it
 * does not authenticate, it begins with the youngest row of the database that
 * authenticates and is not from the future: a key with an id as it is made
 * here, or a signature of the trail.  If rows came by a restore, those that
 * were made after it do not count.  In no case does it go ahead of what the
 * server remembers of it since it started.  If the master key that it is
 * sealed under is not there, nothing else tells the time.
 *
 * Whether a key may be used goes by the server's clock.
 */
#ifndef KMS_KEYS_CLOCK_H
#define KMS_KEYS_CLOCK_H

#include "datatype/timestamp.h"

typedef struct KmsClock
{
	bool		known;			/* if not, nothing may be deleted */
	TimestampTz server;			/* the server's clock */
	TimestampTz kept;			/* the clock of maintenance */
	TimestampTz due;			/* the earlier of them: rows are due by it */
	TimestampTz latest;			/* the later of them: a row that is later is
								 * from the future */
} KmsClock;

/*
 * Read the clock, and write nothing.  It is not known without a master key,
 * or if there is no row to begin with.
 */
extern void kms_clock_read(KmsClock *clock);

/*
 * The same for maintenance, which also keeps what was read, in the current
 * transaction, unless another transaction has the row.  "confirm" sets the
 * clock to the server's; then the row is waited for, and KM007 raised without
 * a master key.
 */
extern void kms_clock_advance(bool confirm, KmsClock *clock);

/* How far it must be off the server's clock to be reported. */
#define KMS_CLOCK_TOLERANCE (INT64CONST(3600) * 1000000)

#endif							/* KMS_KEYS_CLOCK_H */
