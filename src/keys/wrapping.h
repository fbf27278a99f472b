/* Wrapping private keys for the rows that store them. */
#ifndef KMS_KEYS_WRAPPING_H
#define KMS_KEYS_WRAPPING_H

#include "crypto/key_pair.h"
#include "crypto/wrap.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"
#include "store/pool_table.h"

/*
 * Fill in what the wrap of a row's private key is bound to.  *context points
 * into the row.  May raise an error, because text may have to be converted to
 * UTF-8.
 */
extern void kms_wrapping_of_row(const KmsKeyRow *row,
								const unsigned char *public_hash,
								KmsWrapContext *context);

/*
 * Wrap a new private key, for a row of kms.key or for the pool, under the
 * master key for new keys (keys/month_key.h).  *secret or pool->secret is
 * filled.
 */
extern KmsStatus kms_wrapping_wrap(const KmsKeyRow *row, const KmsKeyPair *key,
								   KmsKeySecret *secret, KmsFault *fault);
extern KmsStatus kms_wrapping_wrap_pool(KmsPoolKey *pool,
										const KmsKeyPair *key);

/*
 * Wrap a private key of the pool again for a row, and fill *secret.  No RSA
 * key is opened.  Return KMS_NOT_AUTHENTIC or KMS_OTHER_MASTER_KEY if the
 * pool's key does not open under the master key for new keys.
 */
extern KmsStatus kms_wrapping_from_pool(const KmsPoolKey *pool,
										const KmsKeyRow *row,
										KmsKeySecret *secret);

/*
 * Wrap the private key of a row again, and fill *new.  Use the master key for
 * new keys, or that for keys of its age.  Return KMS_UNCHANGED if the row is
 * under that master key already.
 */
extern KmsStatus kms_wrapping_rewrap_row(const KmsKeyRow *row,
										 const KmsKeySecret *old, bool is_new,
										 KmsKeySecret *new, KmsFault *fault);

#endif							/* KMS_KEYS_WRAPPING_H */
