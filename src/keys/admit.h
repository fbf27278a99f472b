/*
 * The one way into a key: its row is found, judged and authenticated, and its
 * private key is opened.
 *
 * A row that changes while this is done is read again and judged anew in
 * here, so a caller gets one state of the key and never sees it change.
 */
#ifndef KMS_KEYS_ADMIT_H
#define KMS_KEYS_ADMIT_H

#include "keys/call.h"
#include "keys/key_seal.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

/* What a call wants of a key; SPEC section 3 has the table. */
typedef enum KmsUse
{
	KMS_USE_TELL,				/* say what state it is in */
	KMS_USE_CHECK,				/* see whether it is authentic */
	KMS_USE_ISSUE,				/* hand it out as the device's own key */
	KMS_USE_PUBLIC,				/* hand out the public key */
	KMS_USE_ENCRYPT,
	KMS_USE_DECRYPT,
	KMS_USE_RECOVER				/* break-glass: whatever is still there */
} KmsUse;

/*
 * Read the key.  KMS_KEY_NOT_FOUND if there is none, or if "device_id" is
 * given and the key is another device's.
 */
extern KmsStatus kms_admit_find(const char *key_id, const char *device_id,
								KmsKey *key, KmsFault *fault);

/*
 * Find a key, and fill *key and *secret if it is authentic and may be used
 * for this.  "call" notes what was found; it may be NULL.
 *
 * KMS_KEY_NOT_FOUND as above; KMS_KEY_EXPIRED or what the state says, with
 * *key filled; KMS_NOT_AUTHENTIC, also if the state or the expiry refuses a
 * row that is not authentic, if there is a master key to tell; or the master
 * key that is not there.
 */
extern KmsStatus kms_admit_public(KmsCall *call, const char *key_id,
								  const char *device_id, KmsUse use,
								  KmsKey *key, KmsKeySecret *secret,
								  KmsFault *fault);

/* The same for a key that a scan has just shown. */
extern KmsStatus kms_admit_seen(const KmsKey *seen, KmsUse use, KmsKey *key,
								KmsKeySecret *secret, KmsFault *fault);

/*
 * The same as kms_admit_public, with the private key opened.  It belongs to
 * the session's cache and is good until another key is opened.  The event of
 * the call has its room afterwards (kms_call_make_room).
 */
extern KmsStatus kms_admit_private(KmsCall *call, const char *key_id,
								   const char *device_id, KmsUse use,
								   KmsKey *key, KmsRsaKey **private_key,
								   KmsFault *fault);

/*
 * Authenticate a row that was read under its lock, and so does not change:
 * fills *secret and *digests, whatever its state.
 */
extern KmsStatus kms_admit_locked(const KmsKeyRow *row, KmsKeySecret *secret,
								  KmsSecretDigests *digests, KmsFault *fault);

/* What state and clock say about a use; not whether the row is authentic. */
extern KmsStatus kms_admit_judge(const KmsKey *key, KmsUse use);

/*
 * Whether the status is what a state or an expiry refuses a key with.
 */
extern bool kms_admit_is_refusal(KmsStatus status);

/*
 * Whether the state denies use: such a row is taken at its word without a
 * seal, because it may have been changed while there was no master key.
 */
extern bool kms_admit_denies(const KmsKey *key);

/*
 * Whether maintenance deprecated it for its failed decrypts, whatever became
 * of it since; a revocation's reason is somebody's own words.
 */
extern bool kms_admit_is_problematic(const KmsKey *key);

/* "active", "expired", "deprecated", … as kms_key_state() says it. */
extern KmsStatus kms_admit_state(const char *key_id, const char **state,
								 KmsFault *fault);

/* Whether kms_decrypt() would take the key now. */
extern bool kms_admit_is_valid(const char *key_id);

#endif							/* KMS_KEYS_ADMIT_H */
