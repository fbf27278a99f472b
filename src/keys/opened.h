/*
 * Private keys that this session has opened.
 *
 * They are an optimisation and never an authority.  The row is read at each
 * call.  An opened key serves only a row that is byte for byte the one it was
 * authenticated with, or that authenticates with the same wrapped bytes; and
 * only under the master keys that are in force now.
 */
#ifndef KMS_KEYS_OPENED_H
#define KMS_KEYS_OPENED_H

#include "crypto/key_pair.h"
#include "keys/key_seal.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

/*
 * Fetch OpenSSL's algorithms once, so that the server's processes inherit
 * them.  Called from _PG_init while preloading.  Touches no key and no secure
 * heap.
 */
extern void kms_opened_install(void);

/*
 * Return the private key of a row if it is open and was authenticated with
 * this row or an earlier state of it.  Otherwise make room for one more key
 * and return NULL.  The key is valid until the next call of this file.
 */
extern KmsKeyPair *kms_opened_get(const KmsKeyRow *row);

/*
 * Open the private key of an authentic row, and keep it.  The least recently
 * used keys make room.  The key belongs to the cache, and is valid until the
 * next call of this file.
 */
extern KmsStatus kms_opened_open(const KmsKeyRow *row,
								 const KmsKeySecret *secret,
								 const KmsSecretDigests *digests,
								 KmsKeyPair **key, KmsFault *fault);

/*
 * Return the opener, which is also used for public keys.  It lives as long as
 * the process.
 */
extern KmsKeyOpener *kms_opened_opener(void);

/*
 * Close the least recently used key, because the secure heap is full.  Return
 * false if no key is open.
 */
extern bool kms_opened_make_room(void);

/* Close and wipe all keys, as at the end of the session. */
extern void kms_opened_close_all(void);

/* Return the number of open keys. */
extern int	kms_opened_count(void);

/* Return whether private keys of this session are locked into memory. */
extern bool kms_opened_heap_locked(void);

#endif							/* KMS_KEYS_OPENED_H */
