/*
 * Private keys that this session has opened.
 *
 * An optimisation and never an authority: the row is read at each call, and
 * an opened key serves only a row that is byte for byte the one it was
 * authenticated with, under the master keys that are in force now.
 */
#ifndef KMS_KEYS_OPENED_H
#define KMS_KEYS_OPENED_H

#include "crypto/rsa_key.h"
#include "keys/key_seal.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

/*
 * From _PG_init while preloading: fetch the algorithms once, for the server's
 * processes to inherit.  No key and no secure heap is touched.
 */
extern void kms_opened_install(void);

/*
 * The private key of a row, if it is open and was authenticated with this row
 * or with an earlier state of it; else NULL, with room made for one more key.
 * Good until the next call of this file.
 */
extern KmsRsaKey *kms_opened_get(const KmsKeyRow *row);

/*
 * Open the private key of a row that is authentic, and keep it; the oldest
 * ones make room.  It belongs to the cache and is good until the next call of
 * this file.
 */
extern KmsStatus kms_opened_open(const KmsKeyRow *row,
								 const KmsKeySecret *secret,
								 const KmsSecretDigests *digests,
								 KmsRsaKey **key, KmsFault *fault);

/* What opens public keys; lives as long as the process. */
extern KmsRsaOpener *kms_opened_opener(void);

/* The secure heap is full: give up the oldest key; false if there is none. */
extern bool kms_opened_make_room(void);

/* Give up all of them, wiped, as at the end of the session. */
extern void kms_opened_close_all(void);

extern int	kms_opened_count(void);

/* Whether private keys of this session are locked into memory. */
extern bool kms_opened_heap_locked(void);

#endif							/* KMS_KEYS_OPENED_H */
