/*
 * kms.pool_key: keys that no device has yet, wrapped.
 */
#ifndef KMS_STORE_POOL_TABLE_H
#define KMS_STORE_POOL_TABLE_H

#include "datatype/timestamp.h"

#include "crypto/key_id.h"
#include "store/secret_table.h"

#define KMS_POOL_HOME_SIZE 48

/* A row of kms.pool_key.  What does not fit its field reads as empty. */
typedef struct KmsPoolKey
{
	char		id[KMS_KEY_ID_MAX + 1];
	char		home[KMS_POOL_HOME_SIZE];	/* the database it is for */
	char		algorithm[KMS_RSA_ALGORITHM_SIZE];
	TimestampTz created_at;
	KmsKeySecret secret;
} KmsPoolKey;

/*
 * One at a time may count the pool and add to it.  Held until the end of the
 * transaction; false if it is not to wait and another has it.
 */
extern bool kms_pool_table_lock(bool wait);

/* Whether a row is of use; "arg" as given below. */
typedef bool (*KmsPoolTest) (const KmsPoolKey *key, void *arg);

/*
 * Take the newest row that fits and that no other transaction is taking:
 * delete it and fill *key.  False if there is none.  Waits for nobody and
 * raises no serialization failure, whatever the isolation level.
 */
extern bool kms_pool_table_pick(KmsPoolTest fits, void *arg, KmsPoolKey *key);

/*
 * Count the rows that fit, up to "most", and delete the others.  What another
 * transaction is taking counts as taken.
 */
extern int	kms_pool_table_tidy(KmsPoolTest fits, void *arg, int most);

/* How many rows nobody is taking. */
extern int64 kms_pool_table_count(void);

extern void kms_pool_table_insert(const KmsPoolKey *key);

/* Fill in this database, as it is now: "system identifier/timeline/OID". */
extern void kms_pool_table_home(char home[KMS_POOL_HOME_SIZE]);

#endif							/* KMS_STORE_POOL_TABLE_H */
