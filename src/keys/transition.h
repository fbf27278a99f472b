/*
 * Changing the state of a key: the transitions of SPEC section 3.
 */
#ifndef KMS_KEYS_TRANSITION_H
#define KMS_KEYS_TRANSITION_H

#include "keys/call.h"
#include "pg/fault.h"
#include "store/key.h"

/* What an operator asks for, checked for shape. */
typedef struct KmsStateRequest
{
	const char *function;		/* for messages: "kms_revoke_key()" */
	KmsOperation operation;		/* KMS_OP_DEPRECATE to …_CANCEL_DELETION */
	const char *key_id;
	const char *reason;			/* of a revocation; else NULL */
	TimestampTz delete_at;		/* of a scheduled deletion; else 0 */
} KmsStateRequest;

/* The key as it is afterwards. */
typedef struct KmsStateOutcome
{
	const char *state;			/* its name, static */
	TimestampTz delete_at;		/* 0: no deletion is scheduled */
} KmsStateOutcome;

/*
 * Change the state; the call ends as a change, or as one that changed nothing
 * if the key was there already.
 *
 * KMS_KEY_NOT_FOUND; the status of a state from which there is no such
 * transition (KM004), with a hint; what authenticating may end with.  What
 * denies the use of a key (disable, revoke, schedule) needs no master key and
 * waits for no lock on the key, its device, or the table as long as that can
 * be read; the others may wait for the key's row.
 */
extern KmsStatus kms_transition_change(KmsCall *call,
									   const KmsStateRequest *request,
									   KmsStateOutcome *outcome,
									   KmsFault *fault);

/*
 * Delete the key, whatever its state and whether or not it is authentic.
 * Raises if a foreign key refers to it or acts on deletes, or if another
 * transaction has it.
 */
extern KmsStatus kms_transition_destroy(KmsCall *call, const char *key_id,
										KmsFault *fault);

/*
 * The same within another call, which may name no device; KMS_KEY_NOT_FOUND
 * if another has deleted it meanwhile.
 */
extern KmsStatus kms_transition_erase(const char *key_id, const char *reason,
									  KmsFault *fault);

/*
 * Deprecate an active key within another call or by maintenance, and record
 * it with the reason.  The row must be locked; *key is the new row afterwards.
 * KMS_KEY_NOT_FOUND if it is gone or is not the one that was read.
 */
extern KmsStatus kms_transition_deprecate(KmsKey *key, const char *reason,
										  KmsFault *fault);

/*
 * Bring what denies the use of a key into its row; the row must be locked.
 */
extern KmsStatus kms_transition_fold(KmsKey *key, KmsFault *fault);

#endif							/* KMS_KEYS_TRANSITION_H */
