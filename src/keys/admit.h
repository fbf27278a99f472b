/*
 * Finding a key, what its state allows, and whether its row is authentic.
 */
#ifndef KMS_KEYS_ADMIT_H
#define KMS_KEYS_ADMIT_H

#include "keys/key_seal.h"
#include "pg/fault.h"
#include "store/key_table.h"

/* What a call wants of a key; SPEC section 3 has the table. */
typedef enum KmsUse
{
	KMS_USE_PUBLIC,				/* hand out the public key */
	KMS_USE_ENCRYPT,
	KMS_USE_DECRYPT,
	KMS_USE_RECOVER				/* break-glass: whatever is still there */
} KmsUse;

/*
 * Read the row.  KMS_KEY_NOT_FOUND if there is none, or if "device_id" is
 * given and the key is another device's.
 */
extern KmsStatus kms_admit_find(const char *key_id, const char *device_id,
								KmsKeyRow *row, KmsFault *fault);

/*
 * What state and clock say about this use; not whether the row is authentic.
 */
extern KmsStatus kms_admit_permits(const KmsKeyRow *row, KmsUse use,
								   TimestampTz now, KmsFault *fault);

/*
 * Read what belongs to a row and authenticate both.  A row that is being
 * changed meanwhile is read again, so *row may be newer afterwards.
 */
extern KmsStatus kms_admit_authenticate(KmsKeyRow *row, KmsKeySecret *secret,
										KmsSecretDigests *digests,
										KmsFault *fault);

/*
 * Permitted and authentic, of a row that was found.  A row that is refused for its state or expiry and is not authentic either is
 * refused as not authentic, where a master key can tell.
 */
extern KmsStatus kms_admit_row(KmsKeyRow *row, KmsUse use,
							   KmsKeySecret *secret, KmsFault *fault);

/* Whether the master key that the private key is wrapped under is here. */
extern KmsStatus kms_admit_master_key_there(const KmsKeySecret *secret);

/*
 * Whether the state denies use: such a row is taken at its word without a
 * seal, for it may have been changed while there was no master key.
 */
extern bool kms_admit_denies(const KmsKeyRow *row);

/*
 * Whether maintenance deprecated it for its failed decrypts, whatever became
 * of it since; a revocation's reason is somebody's own words.
 */
extern bool kms_admit_is_problematic(const KmsKeyRow *row);

/* What refuses "status" is reported as, once the row has been looked at. */
extern KmsStatus kms_admit_refuse(const KmsKeyRow *row, KmsStatus status,
								  KmsFault *fault);

/* "active", "expired", "deprecated", … as kms_key_state() says it. */
extern const char *kms_admit_state_at(const KmsKeyRow *row, TimestampTz now);

#endif							/* KMS_KEYS_ADMIT_H */
