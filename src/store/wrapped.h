/*
 * Which keys are wrapped under which master key: the rows of kms.key_secret
 * and of kms.field_key by their column master_key_id, which PostgreSQL
 * computes from the wrap.
 *
 * Uncommitted rows are found, too, because a master key that only they need is
 * needed.
 */
#ifndef KMS_STORE_WRAPPED_H
#define KMS_STORE_WRAPPED_H

#include "nodes/pg_list.h"

#include "store/key.h"
#include "store/secret_table.h"

typedef enum KmsWrappedTable
{
	KMS_WRAPPED_KEYS,			/* kms.key_secret */
	KMS_WRAPPED_FIELDS			/* kms.field_key */
} KmsWrappedTable;

#define KMS_WRAPPED_TABLES 2

/*
 * Return a list of the ids of master keys, KMS_MASTER_KEY_ID_SIZE bytes each,
 * under which some key is wrapped, without duplicates, in the order of the
 * index.  Takes as many look-ups as there are ids.  Zeros stand for wraps that
 * are too short to name a master key.
 */
extern List *kms_wrapped_ids(KmsWrappedTable table);

/* Return the number of committed keys under a master key. */
extern int64 kms_wrapped_count(KmsWrappedTable table,
							   const unsigned char *master_key_id);

/*
 * Call "visit" for the keys under a master key until it returns false.  A row
 * of a field key has the id "name/version".
 * "writer" is another transaction that is inserting, changing or deleting the
 * row now, or invalid.
 */
typedef bool (*KmsWrappedVisitor) (const char *key_id, TransactionId writer,
								   void *arg);

extern void kms_wrapped_visit(KmsWrappedTable table,
							  const unsigned char *master_key_id,
							  KmsWrappedVisitor visit, void *arg);

/*
 * Return whether the rows come by a subscription.  Then the publisher wraps
 * them, and computes the seals of later versions over its wraps.
 */
extern bool kms_wrapped_are_replicated(void);

/* Replace the wrap and the seal of a row.  The caller must have locked it. */
extern void kms_wrapped_replace(const KmsKeyRow *row,
								const KmsKeySecret *secret);

#endif							/* KMS_STORE_WRAPPED_H */
