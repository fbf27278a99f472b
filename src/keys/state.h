/*
 * Changing the state of a key.
 */
#ifndef KMS_KEYS_STATE_H
#define KMS_KEYS_STATE_H

#include "pg/errors.h"
#include "store/key.h"

/*
 * Bring an authentic row to another state: authenticates, seals the new
 * version, writes it and records one event with the reason.  *row is the new
 * row afterwards.  KMS_KEY_NOT_FOUND if the row is gone or was changed
 * meanwhile.
 */
extern KmsStatus kms_key_change_state(KmsKeyRow *row, KmsKeyState state,
									  const char *reason, KmsFault *fault);

#endif							/* KMS_KEYS_STATE_H */
