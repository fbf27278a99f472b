/*
 * Decrypting many ciphertexts in one call.
 *
 * Each pair of a key id and a ciphertext is a call of its own for the record;
 * the wait for the record is one for all.  An error of one pair leaves the
 * others alone; any other error ends the batch.
 */
#ifndef KMS_KEYS_BATCH_H
#define KMS_KEYS_BATCH_H

#include "keys/plaintext.h"

/* The result of a pair. */
typedef struct KmsBatchRow
{
	bool		given;			/* else there is no ciphertext, and no call */
	text	   *plaintext;		/* NULL: none */
	int			sqlstate;		/* 0: none */
} KmsBatchRow;

typedef struct KmsBatch
{
	int			count;
	KmsBatchRow *rows;
	KmsPlaintext room;			/* for the plaintext of one pair */
} KmsBatch;

/* Fill the request of pair "i" (from 0), and note its key with the call. */
typedef KmsStatus (*KmsBatchFetch) (void *arg, int i, KmsCall *call,
									KmsCipherRequest *request,
									KmsFault *fault);

/* Make room for a batch; the caller sets "given" of each row. */
extern void kms_batch_prepare(KmsBatch *batch, int count);

/*
 * Decrypt all pairs and wait until their events are recorded.  "fetch" runs
 * in a memory context that lasts for one pair.  If this raises, the caller
 * wipes the batch.
 */
extern void kms_batch_decrypt(KmsBatch *batch, KmsBatchFetch fetch, void *arg);

/* Wipe all plaintext of the batch. */
extern void kms_batch_wipe(KmsBatch *batch);

#endif							/* KMS_KEYS_BATCH_H */
