/*
 * Moving keys, peppers and audit keys from one master key to another.
 */
#ifndef KMS_KEYS_REWRAP_H
#define KMS_KEYS_REWRAP_H

#include "nodes/pg_list.h"

#include "crypto/master_key.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

#define KMS_REWRAP_MAX 100000	/* keys a batch; each is locked to its end */

typedef struct KmsRewrap
{
	int64		done;			/* keys, peppers and audit keys wrapped anew */
	int64		busy;			/* another transaction has them */
	int64		refused;		/* they do not authenticate, or raise */
	bool		more;			/* "limit" was reached */
} KmsRewrap;

/*
 * Wrap at most "limit" keys anew, in the caller's transaction.  Rows of
 * others are passed over; but if there is nothing else and "wait" is set,
 * they are waited for, which takes READ COMMITTED.  Not OK if a master key is
 * gone before all are done.
 */
extern KmsStatus kms_rewrap(int limit, bool wait, KmsRewrap *result,
							KmsFault *fault);

/*
 * kms_rewrap_keys(): wrap at most "limit" keys again and wait for rows that
 * others hold.  Raise 55000 if a subscription brings the keys, and 25000 under
 * an isolation level that does not see what others commit; warn of what does
 * not authenticate.  KMS_NO_MASTER_KEY if there is none; else as kms_rewrap.
 */
extern KmsStatus kms_rewrap_on_request(int limit, KmsRewrap *result,
									   KmsFault *fault);

/*
 * Of a row that this transaction has just inserted with its secret: wrap it
 * anew if the master keys have changed since it was wrapped.
 */
extern KmsStatus kms_rewrap_own(KmsKeyRow *row, const KmsKeySecret *secret,
								KmsFault *fault);

/* A master key that rows of this database need, or that the server has. */
typedef struct KmsMasterKeyUse
{
	unsigned char id[KMS_MASTER_KEY_ID_SIZE];
	bool		used;			/* by a key, committed or not, or a pepper or
								 * an audit key */
	int			place;			/* among the server's, -1: it has it not */
	int			peppers;		/* and audit keys */
} KmsMasterKeyUse;

/* All of them: the server's in their order, then those that it has not. */
extern List *kms_rewrap_uses(void);

/* Say in the server log what rows need and the server has not. */
extern void kms_rewrap_log_missing(void);

#endif							/* KMS_KEYS_REWRAP_H */
