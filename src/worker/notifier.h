/*
 * Notifications of changes (kms.notify).
 *
 * After the writer has moved a batch of changes into the trail, it tells what
 * has changed on channel "kms", for sessions that LISTEN.  A payload is the
 * operation, a blank and the key id.  An operation alone says: any number of
 * keys.
 */
#ifndef KMS_WORKER_NOTIFIER_H
#define KMS_WORKER_NOTIFIER_H

#include "datatype/timestamp.h"
#include "shmem/event.h"

/* The operations that are still to be told; begins zeroed. */
typedef struct KmsNotifier
{
	uint64		untold;			/* bit for each operation of which changes
								 * could not be told */
	TimestampTz failed_at;		/* 0 after success */
	TimestampTz logged_at;
} KmsNotifier;

/*
 * Tell these changes, which are committed, in a transaction of its own.  Does
 * not raise: if it fails, the operations are told later, without key ids,
 * unless the process ends before that.  Call it at each round, also without
 * changes.
 */
extern void kms_notifier_tell(KmsNotifier *notifier, const KmsEvent *changes,
							  int count);

/* Return true if operations are still to be told. */
extern bool kms_notifier_pending(const KmsNotifier *notifier);

#endif							/* KMS_WORKER_NOTIFIER_H */
