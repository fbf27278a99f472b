/*
 * Storing a key that has just been made or has come from elsewhere.
 */
#ifndef KMS_KEYS_CREATE_H
#define KMS_KEYS_CREATE_H

#include "crypto/rsa_key.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

/*
 * Make a key pair, in one of kms.keygen_concurrency places for it.  A cancel
 * is seen within milliseconds; other interrupts wait until the key is made,
 * for the search would have to begin anew.
 */
extern KmsStatus kms_create_generate(int bits, KmsRsaKey **key);

/*
 * Wrap the key, seal the row and insert both.  The key is taken over in every
 * case; it is wrapped and freed before anything that may raise.  Therefore
 * the caller has allocated *secret, which is filled, and has called
 * kms_create_prepare before there was a key.  *row is complete but for its seal.
 */
extern KmsStatus kms_create_key(KmsKeyRow *row, KmsRsaKey *key,
								KmsKeySecret *secret, KmsFault *fault);

/*
 * Seal the row and insert it with what is wrapped for it already, or, if the
 * master keys have changed meanwhile, with what that wrap becomes.
 */
extern KmsStatus kms_create_insert_sealed(KmsKeyRow *row,
										  const KmsKeySecret *secret,
										  KmsFault *fault);

/*
 * Whatever raises in storing a key does so here: text that UTF-8 does not
 * have, the wait for the master key, without which the work would be in vain.
 * "app_version" may be NULL.
 */
extern KmsStatus kms_create_prepare(const char *device_id,
									const char *app_version, KmsFault *fault);

/* An id for a key that is made or comes now. */
extern KmsStatus kms_create_key_id(TimestampTz now, char *key_id);

/*
 * There is a key of the id of the wanted one (23505).  The detail names the
 * device only if it is the wanted one's, because a role that may only import
 * must not learn which device has a key.
 */
extern KmsStatus kms_create_fault_exists(const KmsKeyRow *wanted,
										 KmsFault *fault);

#endif							/* KMS_KEYS_CREATE_H */
