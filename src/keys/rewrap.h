/* Moving keys, peppers and audit keys to another master key. */
#ifndef KMS_KEYS_REWRAP_H
#define KMS_KEYS_REWRAP_H

#include "nodes/pg_list.h"

#include "crypto/master_key.h"
#include "pg/fault.h"
#include "store/key.h"
#include "store/secret_table.h"

#define KMS_REWRAP_MAX 100000	/* keys in a batch; each is locked until its
								 * end */

/* The result of a batch. */
typedef struct KmsRewrap
{
	int64		done;			/* keys, peppers, audit keys wrapped again */
	int64		busy;			/* held by another transaction */
	int64		refused;		/* not authentic, or raised an error */
	bool		more;			/* "limit" was reached */
} KmsRewrap;

/*
 * Wrap at most "limit" keys again, in the caller's transaction.  Rows that
 * other transactions hold are skipped.  If there are no other rows and "wait"
 * is set, wait for them, which requires READ COMMITTED.  The status is not
 * KMS_OK if a master key disappears before all keys are done.
 */
extern KmsStatus kms_rewrap(int limit, bool wait, KmsRewrap *result,
							KmsFault *fault);

/*
 * kms_rewrap_keys(): wrap at most "limit" keys again, and wait for rows that
 * others hold.  Raise 55000 if the keys come by a subscription, and 25000
 * under an isolation level that does not see what others commit.  Warn of rows
 * that do not authenticate.  Return KMS_NO_MASTER_KEY if there is none,
 * otherwise the status of kms_rewrap.
 */
extern KmsStatus kms_rewrap_on_request(int limit, KmsRewrap *result,
									   KmsFault *fault);

/*
 * If the master keys have changed since a key was wrapped, wrap it again.
 * This transaction has just inserted the key's row with its secret.
 */
extern KmsStatus kms_rewrap_own(KmsKeyRow *row, const KmsKeySecret *secret,
								KmsFault *fault);

/* A master key that rows of this database need, or that the server has. */
typedef struct KmsMasterKeyUse
{
	unsigned char id[KMS_MASTER_KEY_ID_SIZE];
	bool		used;			/* by a key (committed or not), a pepper or an
								 * audit key */
	int			place;			/* index in the server's list, -1: missing */
	int			peppers;		/* peppers and audit keys */
} KmsMasterKeyUse;

/* Return all of them: the server's in their order, then the missing ones. */
extern List *kms_rewrap_uses(void);

/*
 * Write to the server log which master keys rows need and the server does not
 * have.
 */
extern void kms_rewrap_log_missing(void);

#endif							/* KMS_KEYS_REWRAP_H */
