/*
 * The pool of ready-made keys.
 *
 * A row of kms.pool_key is a key without a device, wrapped with an id of its
 * own and with its database in place of the device.  Issuing deletes a row
 * that no other transaction is deleting, and wraps its private key again for
 * the row of kms.key.  Both happen in one transaction, so a rollback returns
 * the key.  The private key is not opened for that.  A key is not taken if its
 * algorithm or its master key is not that of a key made now.  So the pool
 * starts again with a new master key or month.  Useless keys are deleted when
 * the pool is next counted.
 *
 * No two devices may have the same key.  So a row is usable only where it was
 * made: not in a copy by CREATE DATABASE … TEMPLATE, by logical replication,
 * or by a backup or standby that has left the original's timeline
 * (kms_pool_table_home).  A base backup that is started without
 * recovery.signal has not left it.  A session that rolls back may have seen
 * the public key that the next session gets, but under a key id that never
 * existed.
 *
 * The pool is filled by workers (worker/keygen.c) or, if there are none, by
 * kms_maintain().  The lock of kms_pool_table_lock, held until the end of the
 * transaction, coordinates them.  Under the lock, the rows are counted, and
 * the keys that are being made (database->pool_coming, in shared memory).
 *
 * - A worker adds its key to pool_coming, commits and generates the key.  In
 *   the transaction that inserts the row, it takes the key off again.
 *   kms_maintain() keeps the lock instead.  So the sum is never less than the
 *   keys that there are, and no two processes make the same missing key.
 * - A key that is being taken is not counted, so that a transaction that stays
 *   open does not keep others from filling the pool.  If it rolls back, there
 *   is one key too many until the pool is next counted.
 * - A reservation belongs to its process and ends with it.  After a crash
 *   there are none.
 *
 * A session that takes a key asks for a worker when its transaction commits or
 * is prepared.  A session that finds no key asks at once.
 *
 * The algorithm of the pool's keys is that of the database.  Workers have the
 * settings of the database or of the bootstrap superuser's role.  They remove
 * keys of another algorithm, and do not live long.  A session with a
 * kms.key_algorithm of its own does not touch the pool.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/pool.h"

#include "keys/call.h"
#include "keys/create.h"
#include "keys/month_key.h"
#include "keys/wrapping.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "shmem/shared.h"
#include "store/health.h"

#define ASK_PAUSE_MS	200
#define MISSES_KEPT_MS	3600000 /* after the last one, counting starts again */

/* The properties of a usable key of the pool. */
typedef struct Wanted
{
	char		algorithm[KMS_KEY_ALGORITHM_SIZE];
	char		home[KMS_POOL_HOME_SIZE];
	unsigned char master_key_id[KMS_MASTER_KEY_ID_SIZE];
} Wanted;

static KmsDatabase *reserved_in = NULL;

static bool serves(KmsKeyAlgorithm algorithm);
static KmsStatus find_wanted(Wanted *wanted);
static bool fits(const KmsPoolKey *key, void *arg);
static void ask_for_more(void);

/* Keys for ECDH take no time to make, so they have no pool. */
int
kms_pool_size(void)
{
	return kms_key_algorithm_type(kms_key_algorithm) == KMS_TYPE_RSA ?
		kms_key_pool_size : 0;
}

KmsStatus
kms_pool_take(KmsKeyAlgorithm algorithm, const KmsKeyRow *row, KmsKeySecret *secret,
			  bool *taken, KmsFault *fault)
{
	KmsPoolKey *pool;
	Wanted		wanted;
	KmsStatus	status = KMS_OK;

	*taken = false;
	if (!serves(algorithm))
		return kms_fault(fault, KMS_OK);
	pool = palloc(sizeof(KmsPoolKey));
	strlcpy(wanted.algorithm, row->algorithm, sizeof(wanted.algorithm));
	while (!*taken)
	{
		status = find_wanted(&wanted);
		if (status != KMS_OK || !kms_pool_table_pick(fits, &wanted, pool))
			break;
		status = kms_wrapping_from_pool(pool, row, secret);
		if (status == KMS_NOT_AUTHENTIC)
			ereport(LOG,
					(errmsg("kms: a key in kms.pool_key does not authenticate and is removed"),
					 KMS_HIDE_STATEMENT));
		/* any other error is the caller's, because the row is gone */
		else if (status != KMS_OTHER_MASTER_KEY)
			*taken = true;
	}
	pfree(pool);
	if (*taken)
		kms_call_wish(KMS_KEYGEN);
	else
		ask_for_more();
	return kms_fault(fault, status);
}

bool
kms_pool_has(KmsKeyAlgorithm algorithm)
{
	Wanted		wanted;

	if (!serves(algorithm) || find_wanted(&wanted) != KMS_OK)
		return false;
	strlcpy(wanted.algorithm, kms_key_algorithm_name(algorithm),
			sizeof(wanted.algorithm));
	if (kms_pool_table_has(fits, &wanted))
		return true;
	ask_for_more();
	return false;
}

/* Return whether the pool is for keys of this algorithm. */
static bool
serves(KmsKeyAlgorithm algorithm)
{
	return kms_pool_size() > 0 && (int) algorithm == kms_key_algorithm;
}

int
kms_pool_missing(bool wait)
{
	KmsDatabase *database = kms_shared_database();
	Wanted		wanted;

	if (database == NULL ||
		find_wanted(&wanted) != KMS_OK ||
		!kms_pool_table_lock(wait))
		return 0;
	strlcpy(wanted.algorithm, kms_key_algorithm_name(kms_key_algorithm),
			sizeof(wanted.algorithm));
	return Max(0, kms_pool_size() -
			   kms_pool_table_tidy(fits, &wanted, kms_pool_size()) -
			   (int) pg_atomic_read_u32(&database->pool_coming));
}

void
kms_pool_reserve(KmsDatabase *database)
{
	pg_atomic_fetch_add_u32(&database->pool_coming, 1);
	reserved_in = database;
}

bool
kms_pool_release(void)
{
	bool		reserved = reserved_in != NULL;

	if (reserved)
		pg_atomic_fetch_sub_u32(&reserved_in->pool_coming, 1);
	reserved_in = NULL;
	return reserved;
}

KmsStatus
kms_pool_add(KmsPoolKey *room, KmsKeyPair *key)
{
	KmsStatus	status;

	room->created_at = GetCurrentTimestamp();
	kms_pool_table_home(room->home);
	kms_key_pair_algorithm(key, room->algorithm);
	status = kms_create_key_id(room->created_at, room->id);
	if (status == KMS_OK)
		status = kms_wrapping_wrap_pool(room, key);
	kms_key_pair_free(key);
	if (status != KMS_OK)
		return status;
	(void) kms_pool_table_lock(true);
	kms_pool_table_insert(room);
	pg_atomic_write_u32(&kms_shared_database()->pool_empty, 0);
	(void) kms_pool_release();
	return KMS_OK;
}

/* Fill everything but the algorithm. */
static KmsStatus
find_wanted(Wanted *wanted)
{
	KmsMasterKey master;
	KmsStatus	status;

	kms_pool_table_home(wanted->home);
	status = kms_month_key_for_new(&master);
	memcpy(wanted->master_key_id, master.id, KMS_MASTER_KEY_ID_SIZE);
	explicit_bzero(&master, sizeof(master));
	return status;
}

static bool
fits(const KmsPoolKey *key, void *arg)
{
	const Wanted *wanted = arg;
	const unsigned char *id = kms_wrap_master_key_id(key->secret.wrapped_key,
													 key->secret.wrapped_len);

	return strcmp(key->algorithm, wanted->algorithm) == 0 &&
		strcmp(key->home, wanted->home) == 0 && id != NULL &&
		memcmp(id, wanted->master_key_id, KMS_MASTER_KEY_ID_SIZE) == 0;
}

/*
 * Ask for a worker, because no key of this session's algorithm is left, unless
 * the pool's is another.
 */
static void
ask_for_more(void)
{
	static TimestampTz quiet_until = 0;
	KmsDatabase *database = kms_shared_database();

	/* because looking for the setting takes a millisecond */
	if (database == NULL || kms_shared_pausing(quiet_until, ASK_PAUSE_MS))
		return;
	quiet_until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											  ASK_PAUSE_MS);
	if (!kms_health_has_database_setting("kms.key_algorithm"))
		return;
	pg_atomic_write_u32(&database->pool_empty, 1);
	kms_shared_request(database, KMS_KEYGEN);
}

void
kms_pool_missed(KmsKeyAlgorithm algorithm)
{
	KmsDatabase *database = kms_shared_database();
	TimestampTz now = GetCurrentTimestamp();

	if (database == NULL || !serves(algorithm) ||
		!kms_health_has_database_setting("kms.key_algorithm"))
		return;
	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	if (!kms_shared_pausing(TimestampTzPlusMilliseconds(database->pool_missed_at,
														MISSES_KEPT_MS),
							MISSES_KEPT_MS))
	{
		database->pool_missed = 0;
		database->pool_missed_since = now;
	}
	database->pool_missed++;
	database->pool_missed_at = now;
	kms_counters_add(&database->counters, KMS_COUNT_POOL_MISSED, 1);
	LWLockRelease(&kms_shared->lock);
}
