/*
 * The clock of maintenance as kms.maintenance stores it, and other rows that
 * tell the time.
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
	TimestampTz installed_at;	/* when the extension was created here, 0:
								 * unknown */
} KmsKeptClock;

typedef enum KmsKeptClockLock
{
	KMS_KEPT_CLOCK_READ,		/* without a lock */
	KMS_KEPT_CLOCK_TRY_LOCK,	/* for the transaction, without waiting */
	KMS_KEPT_CLOCK_LOCK			/* for the transaction, waiting */
} KmsKeptClockLock;

/*
 * Read the clock.  Return false if none is stored; installed_at is filled all
 * the same.  If a lock is asked for, the row is inserted if there is none, and
 * *locked is whether it is locked, so that it can be saved.
 */
extern bool kms_kept_clock_read(KmsKeptClock *kept, KmsKeptClockLock lock,
								bool *locked);
extern void kms_kept_clock_save(const KmsKeptClock *kept);

/* The database that a seal is made for: "system identifier/OID". */
#define KMS_KEPT_CLOCK_HOME_SIZE 32
extern void kms_kept_clock_home(char *home);

/*
 * Return the ids of the "limit" keys that were made last, but not later than
 * "upto", newest first.  The time is taken from the ids, so only ids made here
 * count.
 */
extern List *kms_kept_clock_newest_keys(TimestampTz upto, int limit);

/*
 * Return the ids of at most "limit" keys that were made here after "after";
 * kms_kept_clock_future_events returns the number of events after that time,
 * exact up to "limit", and sets *latest to the latest time.
 */
extern List *kms_kept_clock_future_keys(TimestampTz after, int limit);
extern int64 kms_kept_clock_future_events(TimestampTz after, int limit,
										  TimestampTz *latest);

#endif							/* KMS_STORE_KEPT_CLOCK_H */
