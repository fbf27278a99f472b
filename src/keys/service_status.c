#include "postgres.h"

#include "utils/guc.h"
#include "utils/timestamp.h"

#include "keys/service_status.h"

#include "crypto/openssl.h"
#include "keys/check_unwritten.h"
#include "keys/group.h"
#include "keys/opened.h"
#include "keys/pool.h"
#include "pg/settings.h"
#include "shmem/master.h"
#include "shmem/session_ring.h"
#include "shmem/shared.h"
#include "store/health.h"
#include "store/pool_table.h"

static void add_multi_buffer(List **items);
static void add_status(List **items, const char *item, const char *value);
static void add_count(List **items, const char *item, uint64 value);
static void add_worker(List **items, const char *name, KmsWorkerState *worker);

List *
kms_service_status_read(void)
{
	static const char *const master_words[] = {"unread", "ready", "unset", "refused"};
	static const char *const memory_words[] = {"not locked", "locked", "memfd_secret"};
	KmsDatabase *database;
	KmsMasterStatus *master = palloc(sizeof(KmsMasterStatus));
	KmsRingCounters ring;
	KmsWorkerState workers[KMS_WORKERS];
	List	   *items = NIL;
	int64		epoch;
	int			launcher;

	database = kms_shared_database();
	memset(workers, 0, sizeof(workers));
	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	launcher = kms_shared->launcher_pid;
	if (database != NULL)
		memcpy(workers, database->worker, sizeof(workers));
	LWLockRelease(&kms_shared->lock);
	kms_master_status(master);

	add_status(&items, "version", KMS_VERSION);
	add_status(&items, "openssl", kms_openssl_version());
	add_status(&items, "launcher", launcher != 0 ? "running" : "not running");
	add_worker(&items, "writer", &workers[KMS_WRITER]);
	add_worker(&items, "maintenance", &workers[KMS_MAINTENANCE]);
	add_worker(&items, "key generation", &workers[KMS_KEYGEN]);
	add_status(&items, "master key", master_words[master->state]);
	add_count(&items, "master keys", master->count);
	add_status(&items, "master key memory", memory_words[kms_master_memory()]);
	if (kms_session_ring_counters(&ring, &epoch))
	{
		add_status(&items, "ring epoch", psprintf(INT64_FORMAT, epoch));
		add_count(&items, "ring size", ring.slots);
		add_count(&items, "ring used", ring.head - ring.tail);
		add_count(&items, "events recorded", ring.head);
		add_count(&items, "events dropped", ring.dropped);
		add_count(&items, "events counted only", ring.counted);
		add_count(&items, "events damaged", ring.damaged);
	}
	add_count(&items, "events without a ring",
			  pg_atomic_read_u64(&kms_shared->unrecorded));
	add_count(&items, "calls refused by the audit",
			  pg_atomic_read_u64(&kms_shared->refused));
	add_count(&items, "keys in the pool", kms_pool_table_count());
	add_count(&items, "keys wanted in the pool", kms_pool_size());
	add_count(&items, "changes in the outbox", kms_health_outbox());
	add_count(&items, "events quarantined", kms_health_quarantined());
	add_count(&items, "standby successes",
			  pg_atomic_read_u64(&kms_shared->standby_successes));
	add_count(&items, "standby failures",
			  pg_atomic_read_u64(&kms_shared->standby_failures));
	add_count(&items, "events left in rings", kms_check_unwritten_count());
	add_count(&items, "keys open in this session", kms_opened_count());
	add_multi_buffer(&items);
	return items;
}

static void
add_multi_buffer(List **items)
{
	const char *why_not = kms_group_why_not();

	add_status(items, "multi-buffer RSA",
			   GetConfigOption("kms.multi_buffer", false, false));
	add_status(items, "multi-buffer lanes", why_not == NULL ? "in use"
			   : psprintf("not in use: %s", why_not));
	add_count(items, "multi-buffer wrong results",
			  kms_group_wrong_results());
}

static void
add_status(List **items, const char *item, const char *value)
{
	KmsStatusItem *added = palloc(sizeof(KmsStatusItem));

	added->item = pstrdup(item);
	added->value = pstrdup(value);
	*items = lappend(*items, added);
}

static void
add_count(List **items, const char *item, uint64 value)
{
	add_status(items, item, psprintf(UINT64_FORMAT, value));
}

static void
add_worker(List **items, const char *name, KmsWorkerState *worker)
{
	const char *state = worker->pid != 0 ? "running"
	: worker->failed_at != 0 ? "failing" : "idle";

	add_status(items, name, state);
	add_status(items, psprintf("%s last round", name),
			   worker->heartbeat == 0 ? "never"
			   : timestamptz_to_str(worker->heartbeat));
	add_status(items, psprintf("%s last error", name),
			   worker->last_error[0] == '\0' ? "none" : worker->last_error);
}
