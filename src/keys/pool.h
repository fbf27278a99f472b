/*
 * The pool: ready-made keys that no device has yet, kms.key_pool_size of them
 * in each database, of kms.key_bits.
 */
#ifndef KMS_KEYS_POOL_H
#define KMS_KEYS_POOL_H

#include "crypto/rsa_key.h"
#include "pg/fault.h"
#include "shmem/shared.h"
#include "store/key.h"
#include "store/secret_table.h"
#include "store/pool_table.h"

/*
 * Take a key of so many bits from the pool for a row that is complete but for
 * its seal; fills *secret.  *taken is false if there is none: then the caller
 * has to make one.  Given back by a rollback.
 */
extern KmsStatus kms_pool_take(int bits, const KmsKeyRow *row,
							   KmsKeySecret *secret, bool *taken,
							   KmsFault *fault);

/*
 * For those who fill the pool: remove what has become useless and return how
 * many keys of kms.key_bits are missing.  0 also without a master key, and,
 * if this is not to wait, while another looks.  Nobody else can look until
 * the transaction ends.
 */
extern int	kms_pool_missing(bool wait);

/*
 * The worker that makes one of them says so before that transaction ends.
 * The reservation ends with kms_pool_add or kms_pool_release, which may be
 * called at any time and tells whether there was one.
 */
extern void kms_pool_reserve(KmsDatabase *database);
extern bool kms_pool_release(void);

/*
 * Add the key, which is taken over: wrapped and freed before anything that may
 * raise.  "room" is the caller's, to work in.
 */
extern KmsStatus kms_pool_add(KmsPoolKey *room, KmsRsaKey *key);

#endif							/* KMS_KEYS_POOL_H */
