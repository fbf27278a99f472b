/*
 * The master keys, read by the launcher into a mapping that all processes
 * share; see docs/design/master-key-memory.md.
 *
 * The keys are in the mapping, and state, reason, fingerprints and the lock
 * are in PostgreSQL's shared memory.  master->lock protects both; the
 * generation may be read without the lock.  A file is read by master_file.c, a
 * command is run by worker/key_source.c.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "shmem/master.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "pg/wait_event.h"
#include "shmem/shared.h"

#define FIRST_READ_MS	5000	/* longest wait of a call for the first read */
#define LAUNCHER_PATIENCE_MS	1000	/* the same if there is no launcher */

typedef struct Master
{
	LWLock		lock;
	int			tranche;
	pg_atomic_uint64 generation;	/* 0 if not ready */
	uint64		last_generation;
	ConditionVariable read;		/* signalled after the first read */
	KmsMasterStatus status;
} Master;

static Master *master = NULL;
static KmsMasterKeys *shared_keys = NULL;
static KmsMasterMemory memory_level = KMS_MASTER_PLAIN;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void *map_secret(size_t size);
static bool lock(void *memory, size_t size);
static void request(void);
static void startup(void);
static KmsStatus get(const unsigned char *id, const char *month,
					 KmsMasterKey *key);
static KmsMasterState current_state(void);
static bool launcher_runs(void);
static void log_refused(KmsMasterSource source, bool kept, const char *reason);

void
kms_master_install(void)
{
	size_t		size = TYPEALIGN(sysconf(_SC_PAGESIZE), sizeof(KmsMasterKeys));

	shared_keys = map_secret(size);
	if (shared_keys == NULL)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not map memory for the master keys of kms: %m")));

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup;
}

void
kms_master_await(void)
{
	TimestampTz start;

	if (master == NULL || current_state() != KMS_MASTER_UNREAD)
		return;
	start = GetCurrentTimestamp();
	ConditionVariablePrepareToSleep(&master->read);
	while (current_state() == KMS_MASTER_UNREAD &&
		   !TimestampDifferenceExceeds(start, GetCurrentTimestamp(),
									   launcher_runs() ? FIRST_READ_MS :
									   LAUNCHER_PATIENCE_MS))
		(void) ConditionVariableTimedSleep(&master->read, 200,
										   kms_wait_event(KMS_WAIT_MASTER_KEY));
	ConditionVariableCancelSleep();
}

KmsStatus
kms_master_get(const unsigned char *id, KmsMasterKey *key)
{
	kms_master_await();
	return get(id, NULL, key);
}

KmsStatus
kms_master_get_now(const unsigned char *id, KmsMasterKey *key)
{
	return get(id, NULL, key);
}

KmsStatus
kms_master_get_of_month(const char *month, KmsMasterKey *key)
{
	return get(NULL, month, key);
}

/*
 * Copy the key with this fingerprint, or the key of this month if there are
 * epochs, or the current key.
 */
static KmsStatus
get(const unsigned char *id, const char *month, KmsMasterKey *key)
{
	const KmsMasterKey *found = NULL;
	KmsStatus	status = KMS_NO_MASTER_KEY;

	explicit_bzero(key, sizeof(*key));
	if (master == NULL)
		return KMS_NO_MASTER_KEY;

	LWLockAcquire(&master->lock, LW_SHARED);
	if (master->status.state == KMS_MASTER_READY)
	{
		status = KMS_OTHER_MASTER_KEY;
		if (id != NULL)
			found = kms_master_key_find(shared_keys, id);
		else if (month != NULL && master->status.epochs)
		{
			found = kms_master_key_labelled(shared_keys, month);
			status = KMS_NO_MONTH_KEY;
		}
		else
			found = &shared_keys->keys[0];
		if (found != NULL)
			status = KMS_OK;
		if (found != NULL)
			*key = *found;
	}
	LWLockRelease(&master->lock);
	return status;
}

void
kms_master_status(KmsMasterStatus *status)
{
	memset(status, 0, sizeof(*status));
	if (master == NULL)
		return;
	LWLockAcquire(&master->lock, LW_SHARED);
	*status = master->status;
	LWLockRelease(&master->lock);
}

int
kms_master_place(const KmsMasterStatus *status, const unsigned char *id)
{
	int			i;

	for (i = 0; i < status->count; i++)
	{
		if (memcmp(status->id[i], id, KMS_MASTER_KEY_ID_SIZE) == 0)
			return i;
	}
	return -1;
}

uint64
kms_master_generation(void)
{
	return master == NULL ? 0 : pg_atomic_read_u64(&master->generation);
}

KmsMasterMemory
kms_master_memory(void)
{
	return memory_level;
}

const char *
kms_master_source_name(KmsMasterSource source)
{
	static const char *const names[] = {
		[KMS_MASTER_NOWHERE] = "master key",
		[KMS_MASTER_FILE] = "master key file",
		[KMS_MASTER_COMMAND] = "master key command"
	};

	return names[source];
}

bool
kms_master_parse(const char *content, size_t len, KmsMasterKeys *keys,
				 char *reason, size_t reason_size)
{
	const char *why = NULL;
	int			line = 0;

	if (kms_master_key_parse(content, len, keys, &line, &why) == KMS_OK)
		return true;
	if (line > 0)
		snprintf(reason, reason_size, "line %d: %s", line, why);
	else
		snprintf(reason, reason_size, "%s", why);
	return false;
}

void
kms_master_running(void)
{
	KmsMasterStatus *status = &master->status;

	LWLockAcquire(&master->lock, LW_EXCLUSIVE);
	status->running_since = GetCurrentTimestamp();
	if (status->state != KMS_MASTER_READY)
	{
		/* The command may correct what was wrong, so callers wait again. */
		status->state = KMS_MASTER_UNREAD;
		status->reason[0] = '\0';
	}
	LWLockRelease(&master->lock);
}

void
kms_master_publish(KmsMasterSource source, KmsMasterKeys *keys,
				   KmsMasterState state, const char *reason)
{
	KmsMasterStatus *status;
	bool		kept;
	bool		changed = false;
	int			count;
	int			i;

	if (master == NULL)
	{
		explicit_bzero(keys, sizeof(*keys));
		return;
	}
	status = &master->status;
	LWLockAcquire(&master->lock, LW_EXCLUSIVE);
	kept = state == KMS_MASTER_REFUSED && status->state == KMS_MASTER_READY;
	if (!kept)
	{
		if (state == KMS_MASTER_READY)
			changed = status->state != KMS_MASTER_READY ||
				memcmp(shared_keys, keys, sizeof(*keys)) != 0;
		if (changed || state != KMS_MASTER_READY)
		{
			explicit_bzero(shared_keys, sizeof(*shared_keys));
			memcpy(shared_keys, keys, sizeof(*keys));
			memset(status->id, 0, sizeof(status->id));
			memset(status->label, 0, sizeof(status->label));
			for (i = 0; i < keys->count; i++)
			{
				memcpy(status->id[i], keys->keys[i].id,
					   sizeof(status->id[i]));
				strlcpy(status->label[i], keys->keys[i].label,
						sizeof(status->label[i]));
			}
		}
		if (changed)
			status->generation = ++master->last_generation;
		else if (state != KMS_MASTER_READY)
			status->generation = 0;
		status->epochs = kms_master_key_epochs;
		status->count = keys->count;
		status->state = state;
		pg_atomic_write_u64(&master->generation, status->generation);
	}
	status->source = source;
	status->running_since = 0;
	strlcpy(status->reason, reason, sizeof(status->reason));
	status->read_at = GetCurrentTimestamp();
	count = status->count;
	LWLockRelease(&master->lock);
	explicit_bzero(keys, sizeof(*keys));
	ConditionVariableBroadcast(&master->read);

	if (state == KMS_MASTER_REFUSED)
		log_refused(source, kept, reason);
	else if (changed)
		ereport(LOG,
				(errmsg("kms: master keys read: %d", count),
				 KMS_HIDE_STATEMENT));
}

/* Return zeroed memory that forked processes share, or NULL with errno. */
static void *
map_secret(size_t size)
{
	void	   *memory = MAP_FAILED;

#ifdef SYS_memfd_secret
	int			fd = (int) syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd >= 0)
	{
		if (ftruncate(fd, (off_t) size) == 0)
			memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
						  fd, 0);
		close(fd);
	}
#endif
	if (memory != MAP_FAILED)
		memory_level = KMS_MASTER_SECRET;
	else
	{
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			return NULL;
		memory_level = lock(memory, size) ? KMS_MASTER_LOCKED : KMS_MASTER_PLAIN;
	}
	memset(memory, 0, size);
	return memory;
}

static bool
lock(void *memory, size_t size)
{
	bool		dumped = true;

#ifdef MADV_DONTDUMP
	dumped = madvise(memory, size, MADV_DONTDUMP) != 0;
#endif
	if (mlock(memory, size) == 0)
		return !dumped;
	ereport(LOG,
			(errmsg("memory for the master keys of kms could not be locked, and may be swapped out: %m"),
			 errhint("Raise the server's limit of locked memory (LimitMEMLOCK, ulimit -l)."),
			 KMS_HIDE_STATEMENT));
	return false;
}

static void
request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(Master)));
}

static void
startup(void)
{
	Master	   *shared;
	bool		found;

	master = NULL;
	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("kms master key", sizeof(Master), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(Master));
		shared->tranche = LWLockNewTrancheId();
		LWLockInitialize(&shared->lock, shared->tranche);
		pg_atomic_init_u64(&shared->generation, 0);
		ConditionVariableInit(&shared->read);
		shared->status.state = KMS_MASTER_UNREAD;
	}
	LWLockRelease(AddinShmemInitLock);

	LWLockRegisterTranche(shared->tranche, "kms_master_key");
	master = shared;
}

static KmsMasterState
current_state(void)
{
	KmsMasterState state;

	LWLockAcquire(&master->lock, LW_SHARED);
	state = master->status.state;
	LWLockRelease(&master->lock);
	return state;
}

static bool
launcher_runs(void)
{
	bool		runs;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	runs = kms_shared->launcher_pid != 0;
	LWLockRelease(&kms_shared->lock);
	return runs;
}

/* Do not log the command itself, because it may contain a password. */
static void
log_refused(KmsMasterSource source, bool kept, const char *reason)
{
	char		what[MAXPGPATH + 32];

	if (source == KMS_MASTER_FILE)
		snprintf(what, sizeof(what), "%s \"%s\"",
				 kms_master_source_name(source), kms_master_key_file);
	else
		strlcpy(what, kms_master_source_name(source), sizeof(what));
	ereport(LOG,
			(kept ?
			 errmsg("%s cannot be used, the keys read before stay in force", what) :
			 errmsg("%s cannot be used", what),
			 errdetail_internal("%s", reason),
			 KMS_HIDE_STATEMENT));
}
