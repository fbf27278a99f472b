/* kms.pool_key: keys without a device, wrapped. */
#ifndef KMS_STORE_POOL_TABLE_H
#define KMS_STORE_POOL_TABLE_H

#include "datatype/timestamp.h"

#include "crypto/key_id.h"
#include "store/secret_table.h"

#define KMS_POOL_HOME_SIZE 48

/*
 * A row of kms.pool_key.  A value that does not fit its field reads as empty.
 */
typedef struct KmsPoolKey
{
	char		id[KMS_KEY_ID_MAX + 1];
	char		home[KMS_POOL_HOME_SIZE];	/* the database that may use it */
	char		algorithm[KMS_KEY_ALGORITHM_SIZE];
	TimestampTz created_at;
	KmsKeySecret secret;
} KmsPoolKey;

/*
 * Take the lock for counting the pool and adding to it, until the end of the
 * transaction.  Return false if another session holds it and "wait" is false.
 */
extern bool kms_pool_table_lock(bool wait);

/* Return whether a row is usable.  "arg" is that of the functions below. */
typedef bool (*KmsPoolTest) (const KmsPoolKey *key, void *arg);

/*
 * Take the newest usable row that no other transaction is taking: delete it
 * and fill *key.  Return false if there is none.  Never waits, and raises no
 * serialization failure, whatever the isolation level.
 */
extern bool kms_pool_table_pick(KmsPoolTest fits, void *arg, KmsPoolKey *key);

/*
 * Return whether there is a usable row that no other transaction is taking.
 * The caller holds a lock of the table.
 */
extern bool kms_pool_table_has(KmsPoolTest fits, void *arg);

/*
 * Count the usable rows, up to "most", and delete the others.  A row that
 * another transaction is taking does not count.
 */
extern int	kms_pool_table_tidy(KmsPoolTest fits, void *arg, int most);

/* Return the number of rows that nobody is taking. */
extern int64 kms_pool_table_count(void);

extern void kms_pool_table_insert(const KmsPoolKey *key);

/* Fill in this database as it is now: "system identifier/timeline/OID". */
extern void kms_pool_table_home(char home[KMS_POOL_HOME_SIZE]);

#endif							/* KMS_STORE_POOL_TABLE_H */
