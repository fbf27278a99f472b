/*
 * Wrapping private keys for the rows that they are stored with.
 */
#ifndef KMS_KEYS_WRAPPING_H
#define KMS_KEYS_WRAPPING_H

#include "crypto/rsa_key.h"
#include "crypto/wrap.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"
#include "store/pool_table.h"

/*
 * What the wrap of a row's private key is bound to.  It points into the row;
 * may raise, as text may have to be converted to UTF-8.
 */
extern void kms_wrapping_of_row(const KmsKeyRow *row,
								const unsigned char *public_hash,
								KmsWrapContext *context);

/*
 * Wrap a fresh private key, for a row of kms.key and for the pool; fills
 * *secret.  Under the master key for new keys (keys/month_key.h).
 */
extern KmsStatus kms_wrapping_wrap(const KmsKeyRow *row, const KmsRsaKey *key,
								   KmsKeySecret *secret, KmsFault *fault);
extern KmsStatus kms_wrapping_wrap_pool(KmsPoolKey *pool,
										const KmsRsaKey *key);

/*
 * Wrap the private key of the pool anew for a row; fills *secret.  The key
 * itself is not opened.  KMS_NOT_AUTHENTIC or KMS_OTHER_MASTER_KEY if that of
 * the pool does not open under the master key for new keys.
 */
extern KmsStatus kms_wrapping_rewrap(const KmsPoolKey *pool,
									 const KmsKeyRow *row,
									 KmsKeySecret *secret);

/*
 * Wrap the private key of a row anew, under the master key for new keys or
 * for keys of its age; fills *new.  KMS_UNCHANGED if it is under that one.
 */
extern KmsStatus kms_wrapping_rewrap_row(const KmsKeyRow *row,
										 const KmsKeySecret *old, bool is_new,
										 KmsKeySecret *new, KmsFault *fault);

#endif							/* KMS_KEYS_WRAPPING_H */
