/*
 * A worker that fills the pool of keys of its database; see keys/pool.c.
 *
 * The worker generates one key after another until none is missing, and
 * leaves.  Several workers (kms.keygen_workers) may serve the same database:
 * callers request the first one, and each worker that finds more than one key
 * missing requests the next.
 *
 * A worker leaves
 *
 * - after each key, if another database waits for its turn;
 * - at once, if a writer or maintenance waits for a slot;
 * - after some seconds in any case, because only a new process sees what ALTER
 *   DATABASE has set.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "worker/keygen.h"

#include "keys/opened.h"
#include "keys/pool.h"
#include "keys/service.h"
#include "pg/settings.h"
#include "worker/prime_search.h"
#include "worker/worker.h"

#define LIFE_MS 5000

typedef struct Keygen
{
	KmsWorker	worker;
	bool		absent;
	bool		again;			/* there may be more work */
	int			bits;			/* size of the key that is being generated */
	KmsKeyPair *key;			/* generated, and not yet in the pool */
	KmsPoolKey	room;
} Keygen;

static void one_round(void *arg);
static int	look(Keygen *keygen);
static bool must_leave(const KmsWorker *worker);
static bool must_stop(void *arg);
static void release_at_exit(int code, Datum arg);

void
kms_keygen_main(Datum arg)
{
	static Keygen keygen;
	KmsWorker  *worker = &keygen.worker;
	KmsWorkerOrder order;
	TimestampTz start = GetCurrentTimestamp();

	kms_prime_search_prepare();
	kms_worker_order(&order);
	kms_worker_start(worker, &order);
	before_shmem_exit(release_at_exit, PointerGetDatum(worker));

	/*
	 * As in maintenance.c: adding a key waits for transactions that commit
	 * one.
	 */
	SetConfigOption("lock_timeout", "800ms", PGC_SUSET, PGC_S_OVERRIDE);
	do
	{
		KmsWorkerError error;

		pg_atomic_write_u32(&worker->database->worker[worker->number].requested,
							KMS_REQUEST_NONE);
		pg_memory_barrier();
		keygen.again = false;
		if (kms_worker_try(one_round, &keygen, &error))
			kms_worker_good(worker);
		else
		{
			(void) kms_pool_release();
			kms_key_pair_free(keygen.key);
			keygen.key = NULL;
			keygen.again = true;
			if (error.sqlstate != ERRCODE_QUERY_CANCELED)
			{
				kms_worker_failed(worker, &error);
				break;
			}
		}
		if (keygen.absent)
			kms_worker_absent(worker);
	} while (keygen.again && !must_leave(worker) &&
			 !TimestampDifferenceExceeds(start, GetCurrentTimestamp(), LIFE_MS) &&
			 pg_atomic_read_u32(&kms_shared->keygen_waiting) == 0);

	if (keygen.again)
		kms_shared_request(worker->database, worker->number);
	kms_worker_end(worker);
}

static void
one_round(void *arg)
{
	Keygen	   *keygen = arg;
	KmsKeyPair *key;
	KmsStatus	status;

	kms_worker_reload();
	if (keygen->worker.number >= KMS_KEYGEN + kms_keygen_workers)
		return;
	keygen->bits = look(keygen);
	if (keygen->bits == 0)
		return;
	if (kms_worker_failures(&keygen->worker) == 0)
		kms_worker_good(&keygen->worker);	/* a key can take a minute */

	(void) kms_opened_opener(); /* this process holds secrets from now on */
	status = kms_prime_search_run(keygen->bits, must_stop, keygen, &keygen->key);
	if (status == KMS_OK)
	{
		kms_worker_begin("adding a key to the pool");
		key = keygen->key;
		keygen->key = NULL;
		status = kms_pool_add(&keygen->room, key);
		kms_worker_commit();
		pgstat_report_stat(true);
	}
	(void) kms_pool_release();
	if (status != KMS_OK && status != KMS_INTERRUPTED)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not make a key for the pool")));
	keygen->again = true;
}

/*
 * Return the size in bits of the key to be generated, or 0 if none is missing.
 */
static int
look(Keygen *keygen)
{
	KmsWorker  *worker = &keygen->worker;
	int			missing = 0;

	kms_worker_begin("looking at the pool of keys");
	keygen->absent = !OidIsValid(kms_worker_extension());
	if (!keygen->absent)
	{
		kms_service_require();
		missing = kms_pool_missing(true);
		if (missing > 0)
			kms_pool_reserve(worker->database);
	}
	kms_worker_commit();

	if (missing > 1 && worker->number + 1 < KMS_KEYGEN + kms_keygen_workers)
		kms_shared_request(worker->database, worker->number + 1);
	return missing > 0 ? kms_key_algorithm_bits(kms_key_algorithm) : 0;
}

static bool
must_leave(const KmsWorker *worker)
{
	return kms_worker_must_leave(worker) ||
		pg_atomic_read_u32(&kms_shared->keygen_unwanted) != 0;
}

/*
 * Return true if the search must stop: the worker must leave, or a reload has
 * changed the settings so that this key is not wanted.
 */
static bool
must_stop(void *arg)
{
	Keygen	   *keygen = arg;

	kms_worker_reload();
	return must_leave(&keygen->worker) || kms_key_pool_size == 0 ||
		kms_key_algorithm_bits(kms_key_algorithm) != keygen->bits ||
		keygen->worker.number >= KMS_KEYGEN + kms_keygen_workers;
}

/* If the worker is terminated, another one continues its work. */
static void
release_at_exit(int code, Datum arg)
{
	KmsWorker  *worker = (KmsWorker *) DatumGetPointer(arg);

	if (kms_pool_release())
		kms_shared_request(worker->database, worker->number);
}
