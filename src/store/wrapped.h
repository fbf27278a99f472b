/*
 * What is wrapped under which master key: kms.key_secret by its column
 * master_key_id, which PostgreSQL fills from the wrap itself.
 *
 * Rows are found whose transaction is not committed yet, too: a master key
 * that only they need is needed.
 */
#ifndef KMS_STORE_WRAPPED_H
#define KMS_STORE_WRAPPED_H

#include "nodes/pg_list.h"

#include "store/key.h"
#include "store/secret_table.h"

/*
 * A list of the ids of master keys, KMS_MASTER_KEY_ID_SIZE bytes each, that
 * some key is wrapped under, each once, in the order of the index.  It takes
 * as many look-ups as there are.  Zeros stand for wraps that are too short to
 * name one.
 */
extern List *kms_wrapped_ids(void);

/* How many committed keys are wrapped under one. */
extern int64 kms_wrapped_count(const unsigned char *master_key_id);

/*
 * Call "visit" for the keys under a master key until it returns false.
 * "writer" is the transaction that is inserting, changing or deleting the row
 * now, if another one is.
 */
typedef bool (*KmsWrappedVisitor) (const char *key_id, TransactionId writer,
								   void *arg);

extern void kms_wrapped_visit(const unsigned char *master_key_id,
							  KmsWrappedVisitor visit, void *arg);

/*
 * Whether the rows come by a subscription: their wraps are the publisher's,
 * who seals later versions of their rows over them.
 */
extern bool kms_wrapped_are_replicated(void);

/* Replace the wrap and the seal of a row that the caller has locked. */
extern void kms_wrapped_replace(const KmsKeyRow *row,
								const KmsKeySecret *secret);

#endif							/* KMS_STORE_WRAPPED_H */
