/* Storing a key that was just generated or comes from elsewhere. */
#ifndef KMS_KEYS_CREATE_H
#define KMS_KEYS_CREATE_H

#include "crypto/key_pair.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

/*
 * Generate a key pair; one of RSA in one of kms.keygen_concurrency places.  A
 * cancel takes effect within milliseconds.  Other interrupts wait until the
 * key is made, because the search would have to begin again.
 */
extern KmsStatus kms_create_generate(KmsKeyAlgorithm algorithm, KmsKeyPair **key);

/*
 * The same for a call that can do without the key.  It does not wait for a
 * turn, and stops after half of statement_timeout or transaction_timeout, both
 * for RSA only: then the status is KMS_INTERRUPTED.
 */
extern KmsStatus kms_create_try_generate(KmsKeyAlgorithm algorithm,
										 KmsKeyPair **key);

/*
 * Wrap the key, seal the row and insert both.  *row is complete except for its
 * seal; *secret is filled.  The key is consumed in every case: it is wrapped
 * and freed before any step that may raise an error.  So the caller must
 * allocate *secret and call kms_create_prepare before the key exists.
 */
extern KmsStatus kms_create_key(KmsKeyRow *row, KmsKeyPair *key,
								KmsKeySecret *secret, KmsFault *fault);

/*
 * Seal the row, and insert it with a secret that was already wrapped for it.
 * If the master keys have changed since, the secret is wrapped again.
 */
extern KmsStatus kms_create_insert_sealed(KmsKeyRow *row,
										  const KmsKeySecret *secret,
										  KmsFault *fault);

/*
 * Run all steps of storing a key that may raise an error, before there is a
 * key: convert the texts to UTF-8, and wait for the master key.  Return the
 * status if there is none, because the work would be lost.  "app_version" may
 * be NULL.
 */
extern KmsStatus kms_create_prepare(const char *device_id,
									const char *app_version, KmsFault *fault);

/*
 * Make an id for a key that is made or imported at "now".  "key_id" must hold
 * KMS_KEY_ID_MAX + 1 bytes.
 */
extern KmsStatus kms_create_key_id(TimestampTz now, char *key_id);

/*
 * Set the fault "already exists" (23505) for the key id of "wanted".  The
 * detail names the device only if it is that of "wanted", because a role that
 * may only import must not learn which device has a key.
 */
extern KmsStatus kms_create_fault_exists(const KmsKeyRow *wanted,
										 KmsFault *fault);

#endif							/* KMS_KEYS_CREATE_H */
