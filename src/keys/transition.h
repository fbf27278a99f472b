/*
 * Changing the state of a key.  docs/reference/tables.md has the transitions.
 */
#ifndef KMS_KEYS_TRANSITION_H
#define KMS_KEYS_TRANSITION_H

#include "keys/call.h"
#include "pg/fault.h"
#include "store/key.h"

/* The arguments of an operator's call, with their shape checked. */
typedef struct KmsStateRequest
{
	const char *function;		/* for messages: "kms_revoke_key()" */
	KmsOperation operation;		/* KMS_OP_DEPRECATE to …_CANCEL_DELETION */
	const char *key_id;
	const char *reason;			/* of a revocation, otherwise NULL */
	TimestampTz delete_at;		/* of a scheduled deletion, otherwise 0 */
} KmsStateRequest;

/* The key as it is afterwards. */
typedef struct KmsStateOutcome
{
	const char *state;			/* its name, static */
	TimestampTz delete_at;		/* 0: no deletion is scheduled */
} KmsStateOutcome;

/*
 * Change the state of a key, and fill *outcome.  The call is recorded as a
 * change, or as unchanged if the key was in that state already.
 *
 * Return KMS_KEY_NOT_FOUND; the status of a state from which there is no such
 * transition (KM004), with a hint; or the status of authenticating the row.  A
 * transition that denies the use of a key (disable, revoke, schedule) needs no
 * master key.  It waits for no lock on the key, its device or, as long as it
 * can be read, the table.  The others may wait for the key's row.
 */
extern KmsStatus kms_transition_change(KmsCall *call,
									   const KmsStateRequest *request,
									   KmsStateOutcome *outcome,
									   KmsFault *fault);

/*
 * Delete the key, whatever its state, and whether or not it is authentic.
 * Raise an error if a foreign key refers to it or acts on deletes, or if
 * another transaction holds it.
 */
extern KmsStatus kms_transition_destroy(KmsCall *call, const char *key_id,
										KmsFault *fault);

/*
 * Do the same within another call, and record an event that names no device.
 * Return KMS_KEY_NOT_FOUND if another transaction has deleted the key in the
 * meantime.
 */
extern KmsStatus kms_transition_erase(const char *key_id, const char *reason,
									  KmsFault *fault);

/*
 * Deprecate an active key within another call or by maintenance, and record
 * that with the reason.  The caller must hold the row's lock; *key becomes the
 * new row.  Return KMS_KEY_NOT_FOUND if the row is gone or is not the one that
 * was read.
 */
extern KmsStatus kms_transition_deprecate(KmsKey *key, const char *reason,
										  KmsFault *fault);

/*
 * Apply the denials of a key to its row.  The caller must hold the row's lock;
 * *key becomes the new row.
 */
extern KmsStatus kms_transition_fold(KmsKey *key, KmsFault *fault);

#endif							/* KMS_KEYS_TRANSITION_H */
