/*
 * Failed attempts of a subject (an account), counted for the whole server.
 *
 *	kms_lockout_enter(&lockout, subject);
 *	if (kms_lockout_refuses(&lockout, limit, window, &retry_at)) …
 *	else if (the attempt fails)
 *		kms_lockout_failed(&lockout);
 *	kms_lockout_leave(&lockout);
 *
 * Attempts of one subject exclude each other from enter to leave, so that no
 * two of them are allowed by the same count.  The counts are not undone by a
 * ROLLBACK, survive a crash restart, and are forgotten when the server stops.
 */
#ifndef KMS_SHMEM_LOCKOUT_H
#define KMS_SHMEM_LOCKOUT_H

#include "datatype/timestamp.h"
#include "storage/lock.h"

#include "shmem/attempts.h"

typedef struct KmsLockout
{
	LOCKTAG		tag;
	unsigned char subject[KMS_ATTEMPT_SUBJECT_SIZE];
} KmsLockout;

/* Create the mapping.  Call it from _PG_init while preloading. */
extern void kms_lockout_install(void);

/*
 * Wait until no other attempt of this subject is under way.  The wait can be
 * cancelled.  Works in read-only transactions and on standbys.  If an error is
 * raised, the end of the (sub)transaction does what kms_lockout_leave does.
 */
extern void kms_lockout_enter(KmsLockout *lockout, const char *subject);
extern void kms_lockout_leave(const KmsLockout *lockout);

/*
 * Return true if at least "limit" attempts have failed in the last "window"
 * seconds.  Then *retry_at is the time at which one of them leaves the window.
 */
extern bool kms_lockout_refuses(const KmsLockout *lockout, int limit,
								int window, TimestampTz *retry_at);

/* Count a failed attempt. */
extern void kms_lockout_failed(const KmsLockout *lockout);

#endif							/* KMS_SHMEM_LOCKOUT_H */
