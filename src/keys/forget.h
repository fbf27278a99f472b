/* Forgetting a device: its keys, and its personal data in the trail. */
#ifndef KMS_KEYS_FORGET_H
#define KMS_KEYS_FORGET_H

#include "keys/call.h"
#include "pg/fault.h"

typedef struct KmsForgetResult
{
	int64		keys;			/* destroyed */
	int64		events;			/* rows that were blanked */
} KmsForgetResult;

/*
 * Destroy all keys of a device, and remove its id, client addresses, contexts
 * and their salts from the trail for good.  On success, the call is recorded
 * as a change.  Return KMS_NO_MASTER_KEY or the like if the removal cannot be
 * signed.
 *
 * Raise the errors of kms_transition_destroy; 25000 in a transaction that is
 * not READ COMMITTED; 55000 if the writer does not write the recorded events
 * in time.
 */
extern KmsStatus kms_forget_device(KmsCall *call, const char *device_id,
								   KmsForgetResult *result, KmsFault *fault);

#endif							/* KMS_KEYS_FORGET_H */
