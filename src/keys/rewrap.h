/*
 * Moving keys and peppers from one master key to another.
 */
#ifndef KMS_KEYS_REWRAP_H
#define KMS_KEYS_REWRAP_H

#include "nodes/pg_list.h"

#include "crypto/master_key.h"

#define KMS_REWRAP_MAX 100000	/* keys a batch; each is locked to its end */

typedef struct KmsRewrap
{
	int64		done;			/* keys and peppers wrapped anew */
	int64		busy;			/* another transaction has them */
	int64		refused;		/* they do not authenticate */
	bool		more;			/* "limit" was reached */
} KmsRewrap;

/*
 * Wrap at most "limit" keys anew, in the caller's transaction.  Rows of
 * others are passed over; but if there is nothing else and "wait" is set,
 * they are waited for.  With a master key only.
 */
extern void kms_rewrap(int limit, bool wait, KmsRewrap *result);

/* A master key that rows of this database need, or that the server has. */
typedef struct KmsMasterKeyUse
{
	unsigned char id[KMS_MASTER_KEY_ID_SIZE];
	bool		used;			/* by a row, committed or not */
	int			place;			/* among the server's, -1: it has it not */
	int			peppers;
} KmsMasterKeyUse;

/* All of them: the server's in their order, then those that it has not. */
extern List *kms_rewrap_uses(void);

/* Say in the server log what rows need and the server has not. */
extern void kms_rewrap_log_missing(void);

#endif							/* KMS_KEYS_REWRAP_H */
