/*
 * The clock of maintenance as kms.maintenance keeps it, and what else of the
 * tables tells the time.
 */
#ifndef KMS_STORE_KEPT_CLOCK_H
#define KMS_STORE_KEPT_CLOCK_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "crypto/seal.h"
#include "shmem/slow_clock.h"

typedef struct KmsKeptClock
{
	KmsSlowClock clock;
	unsigned char seal[KMS_SEAL_SIZE];
	bool		malformed;		/* a column does not have its form */
	TimestampTz installed_at;	/* when the extension was created here; 0: not
								 * known */
} KmsKeptClock;

typedef enum KmsKeptClockLock
{
	KMS_KEPT_CLOCK_READ,		/* without a lock */
	KMS_KEPT_CLOCK_TRY_LOCK,	/* for the transaction, without waiting */
	KMS_KEPT_CLOCK_LOCK			/* waits */
} KmsKeptClockLock;

/*
 * Read the clock; false if none is kept (installed_at is filled all the
 * same).  *locked is whether its row is
 * locked, so that it can be saved; the row is made if it is not there.
 */
extern bool kms_kept_clock_read(KmsKeptClock *kept, KmsKeptClockLock lock,
								bool *locked);
extern void kms_kept_clock_save(const KmsKeptClock *kept);

/* The database that a seal is made for: system identifier, OID. */
#define KMS_KEPT_CLOCK_HOME_SIZE 32
extern void kms_kept_clock_home(char *home);

/*
 * Ids of the "limit" keys that were made last, but not later than "upto", by
 * the time in the ids that are made here; newest first.
 */
extern List *kms_kept_clock_newest_keys(TimestampTz upto, int limit);

/*
 * Ids of at most "limit" keys that were made here after "after"; how many
 * events there are of a later time, exact up to "limit", and the latest time.
 */
extern List *kms_kept_clock_future_keys(TimestampTz after, int limit);
extern int64 kms_kept_clock_future_events(TimestampTz after, int limit,
										  TimestampTz *latest);

#endif							/* KMS_STORE_KEPT_CLOCK_H */
