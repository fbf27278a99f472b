/*
 * Decrypt many ciphertexts in one call.
 *
 * Each pair of a key id and a ciphertext is recorded as a call of its own, but
 * the batch waits only once for all events.  If a pair is at fault, the error
 * belongs to that pair and the batch continues; any other error ends the
 * batch.
 *
 * Where crypto/lanes can be used, up to KMS_GROUP_MAX pairs are decrypted
 * together.  The checks, the events and their order are the same.
 */
#ifndef KMS_KEYS_BATCH_H
#define KMS_KEYS_BATCH_H

#include "keys/plaintext.h"

/* The result of a pair. */
typedef struct KmsBatchRow
{
	bool		given;			/* false: no ciphertext was given, so there is
								 * no call */
	struct varlena *plaintext;	/* text or bytea; NULL if there is none */
	int			sqlstate;		/* of the pair's error, 0 if there is none */
} KmsBatchRow;

struct KmsBatchCall;

typedef struct KmsBatch
{
	int			count;
	KmsBatchRow *rows;
	KmsPlaintext room;			/* buffers for the plaintext of one pair */
	struct KmsBatchCall *calls; /* the pairs that are decrypted together */
} KmsBatch;

/* Fill the request of pair "i" (from 0), and record its key in the call. */
typedef KmsStatus (*KmsBatchFetch) (void *arg, int i, KmsCall *call,
									KmsCipherRequest *request,
									KmsFault *fault);

/*
 * Allocate memory for "count" pairs.  The caller then sets "given" of each
 * row.
 */
extern void kms_batch_prepare(KmsBatch *batch, int count, bool is_text);

/*
 * Decrypt all pairs, and wait for their events if kms.audit requires it.
 * "fetch" runs in a memory context that is reset after some pairs.  If an
 * error is raised, the caller must wipe the batch.
 */
extern void kms_batch_decrypt(KmsBatch *batch, KmsBatchFetch fetch, void *arg);

/* Wipe every plaintext of the batch, and release its keys. */
extern void kms_batch_wipe(KmsBatch *batch);

#endif							/* KMS_KEYS_BATCH_H */
