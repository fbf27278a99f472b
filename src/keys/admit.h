/*
 * The one way into a key: find its row, judge it, authenticate it and open its
 * private key.
 *
 * If the row changes in the meantime, it is read and judged again here.  So a
 * caller gets one state of the key and never sees it change.
 */
#ifndef KMS_KEYS_ADMIT_H
#define KMS_KEYS_ADMIT_H

#include "keys/call.h"
#include "keys/key_seal.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

/*
 * How a call wants to use a key.  docs/reference/tables.md says which states
 * permit it.
 */
typedef enum KmsUse
{
	KMS_USE_TELL,				/* return its state */
	KMS_USE_CHECK,				/* check that its row is authentic */
	KMS_USE_ISSUE,				/* issue it to its device */
	KMS_USE_PUBLIC,				/* return its public key */
	KMS_USE_ENCRYPT,
	KMS_USE_DECRYPT,
	KMS_USE_RECOVER				/* break-glass: decrypt in any state */
} KmsUse;

/*
 * Read the row of a key.  Return KMS_KEY_NOT_FOUND if there is none, or if
 * "device_id" is not NULL and the key belongs to another device.
 */
extern KmsStatus kms_admit_find(const char *key_id, const char *device_id,
								KmsKey *key, KmsFault *fault);

/*
 * Find a key.  Fill *key and *secret if it is authentic and may be used in
 * this way.  "call" records the key that was found; it may be NULL.  Return
 *
 * - KMS_KEY_NOT_FOUND as kms_admit_find does;
 * - KMS_KEY_EXPIRED or the status of the key's state, with *key filled;
 * - KMS_NOT_AUTHENTIC even if the state or the expiry would refuse the key,
 *   provided that there is a master key to check the row with;
 * - KMS_NO_MASTER_KEY or KMS_OTHER_MASTER_KEY if the master key that the row
 *   needs is missing.
 */
extern KmsStatus kms_admit_public(KmsCall *call, const char *key_id,
								  const char *device_id, KmsUse use,
								  KmsKey *key, KmsKeySecret *secret,
								  KmsFault *fault);

/* Do the same for a key that a scan has just read. */
extern KmsStatus kms_admit_seen(const KmsKey *seen, KmsUse use, KmsKey *key,
								KmsKeySecret *secret, KmsFault *fault);

/*
 * Do the same as kms_admit_public, and open the private key.  The private key
 * belongs to the session's cache and is valid until another key is opened.
 * Room for the event of the call has been claimed (kms_call_make_room).
 */
extern KmsStatus kms_admit_private(KmsCall *call, const char *key_id,
								   const char *device_id, KmsUse use,
								   KmsKey *key, KmsKeyPair **private_key,
								   KmsFault *fault);

/*
 * Authenticate a row that the caller has locked, so that it cannot change.  On
 * KMS_OK, *secret and *digests are filled, whatever the key's state.
 */
extern KmsStatus kms_admit_locked(const KmsKeyRow *row, KmsKeySecret *secret,
								  KmsSecretDigests *digests, KmsFault *fault);

/*
 * Return KMS_OK if the key's state and the server's clock permit the use,
 * otherwise the status of the refusal.  The row is not authenticated.
 */
extern KmsStatus kms_admit_judge(const KmsKey *key, KmsUse use);

/* Return whether the status refuses a key for its state or expiry. */
extern bool kms_admit_is_refusal(KmsStatus status);

/*
 * Return whether the key's state denies its use.  Such a row is trusted
 * without a seal, because it may have been changed while there was no master
 * key.
 */
extern bool kms_admit_denies(const KmsKey *key);

/*
 * Return whether maintenance deprecated the key for its failed decrypts, even
 * if its state has changed since.  A revoked key does not count, because the
 * reason of a revocation is free text.
 */
extern bool kms_admit_is_problematic(const KmsKey *key);

/*
 * Set *state to the key's state as kms_key_state() returns it: "active",
 * "expired", "deprecated" and so on.  The string is static.
 */
extern KmsStatus kms_admit_state(const char *key_id, const char **state,
								 KmsFault *fault);

/* Return whether kms_decrypt() would accept the key now. */
extern bool kms_admit_is_valid(const char *key_id);

#endif							/* KMS_KEYS_ADMIT_H */
