/*
 * The pool of ready-made keys without a device: kms.key_pool_size keys of
 * kms.key_algorithm in each database, if that is RSA.
 */
#ifndef KMS_KEYS_POOL_H
#define KMS_KEYS_POOL_H

#include "crypto/key_pair.h"
#include "pg/fault.h"
#include "shmem/shared.h"
#include "store/key.h"
#include "store/secret_table.h"
#include "store/pool_table.h"

/* Return how many keys the pool of this database is to have. */
extern int	kms_pool_size(void);

/*
 * Take a key of this algorithm from the pool for a row that is complete except
 * for its seal, and fill *secret.  *taken is false if there is none, and the
 * caller must make one.  A rollback returns the key to the pool.
 */
extern KmsStatus kms_pool_take(KmsKeyAlgorithm algorithm, const KmsKeyRow *row,
							   KmsKeySecret *secret, bool *taken,
							   KmsFault *fault);

/*
 * Note that the session had to generate a key of this algorithm, for which the
 * pool is, itself.
 */
extern void kms_pool_missed(KmsKeyAlgorithm algorithm);

/*
 * Return whether a key of this algorithm can be taken now, and ask for more if
 * there is none.  The caller holds a lock of the pool's table.
 */
extern bool kms_pool_has(KmsKeyAlgorithm algorithm);

/*
 * Called by processes that fill the pool.  Remove keys that have become
 * useless, and return how many keys of kms.key_algorithm are missing.  Return
 * 0 if there is no master key or, unless "wait" is set, if another session is
 * counting.  No other session can count until the transaction ends.
 */
extern int	kms_pool_missing(bool wait);

/*
 * Reserve a missing key, before the transaction of kms_pool_missing ends.
 * Called by the worker that makes it.  The reservation ends with kms_pool_add
 * or kms_pool_release.  The latter may be called at any time, and returns
 * whether there was a reservation.
 */
extern void kms_pool_reserve(KmsDatabase *database);
extern bool kms_pool_release(void);

/*
 * Add a key, and consume it: it is wrapped and freed before any step that may
 * raise an error.  "room" is working memory of the caller.
 */
extern KmsStatus kms_pool_add(KmsPoolKey *room, KmsKeyPair *key);

#endif							/* KMS_KEYS_POOL_H */
