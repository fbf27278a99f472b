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
 * two of them pass on the same count.  What is counted is undone by no
 * ROLLBACK and survives a crash restart, and is forgotten when the server
 * stops.
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

/* From _PG_init while preloading: makes the mapping. */
extern void kms_lockout_install(void);

/*
 * Wait for the subject's turn, cancellable.  Works in read-only transactions
 * and on standbys.  An error ends it with the (sub)transaction.
 */
extern void kms_lockout_enter(KmsLockout *lockout, const char *subject);
extern void kms_lockout_leave(const KmsLockout *lockout);

/*
 * Whether "limit" attempts or more have failed in the last "window" seconds;
 * then *retry_at is when one of them leaves the window.
 */
extern bool kms_lockout_refuses(const KmsLockout *lockout, int limit,
								int window, TimestampTz *retry_at);

extern void kms_lockout_failed(const KmsLockout *lockout);

#endif							/* KMS_SHMEM_LOCKOUT_H */
