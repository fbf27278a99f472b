/*
 * Forgetting a device: its keys, and what the trail tells of it.
 */
#ifndef KMS_KEYS_FORGET_H
#define KMS_KEYS_FORGET_H

#include "keys/call.h"
#include "pg/fault.h"

typedef struct KmsForgetResult
{
	int64		keys;			/* destroyed */
	int64		events;			/* blanked */
} KmsForgetResult;

/*
 * Destroy all keys of a device and take its id, client addresses, contexts and
 * their salts out of the trail, for good; ends the call if that succeeds.
 * KMS_NO_MASTER_KEY and the like if it cannot be signed that they are gone.
 * Raises where kms_transition_destroy does, in a transaction that is not READ
 * COMMITTED, and if the writer does not write what is recorded in time.
 */
extern KmsStatus kms_forget_device(KmsCall *call, const char *device_id,
								   KmsForgetResult *result, KmsFault *fault);

#endif							/* KMS_KEYS_FORGET_H */
