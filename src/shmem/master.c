/*
 * The master keys, read once by the launcher into a mapping that all
 * processes share.
 *
 * Two places.  The keys are in a mapping of their own, made by the
 * postmaster while it preloads and inherited by every process: memfd_secret
 * where the kernel has it (not even root's debugger sees it), else anonymous
 * shared memory, locked and left out of core dumps.  PostgreSQL's segment is
 * no place for them: huge pages, core dumps.  State, reason, fingerprints and
 * the lock are in PostgreSQL's shared memory, which is laid out anew after a
 * crash: so keys that were being replaced when a process was killed are never
 * used; the launcher reads them again.
 *
 * Both are guarded by master->lock; the generation may be read without.
 *
 * A file that cannot be used at a reload leaves the keys in force, with the
 * reason in the log and in the status; so does not a setting that names
 * nothing any more: then the keys are wiped.
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
#include "pg/settings.h"
#include "shmem/state.h"

#define FILE_SIZE_MAX	(64 * 1024)
#define FIRST_READ_MS	5000	/* how long a call waits for the launcher */
#define LAUNCHER_PATIENCE_MS	1000	/* and when there is none */

typedef struct Master
{
	LWLock		lock;
	int			tranche;
	pg_atomic_uint64 generation;	/* 0: not ready */
	uint64		last_generation;
	ConditionVariable read;		/* the first read is done */
	KmsMasterStatus status;
} Master;

static Master *master = NULL;
static KmsMasterKeys *shared_keys = NULL;

#ifdef KMS_HAS_SHMEM_REQUEST_HOOK
static shmem_request_hook_type prev_shmem_request_hook = NULL;
#endif
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void *map_secret(size_t size);
static void request(void);
static void startup(void);
static KmsStatus get(const unsigned char *id, const char *label,
					 KmsMasterKey *key);
static KmsMasterState current_state(void);
static bool launcher_runs(void);
static bool read_keys(KmsMasterKeys *keys, char *reason, size_t reason_size);
static bool read_open_file(int fd, KmsMasterKeys *keys,
						   char *reason, size_t reason_size);
static bool check_file(const struct stat *st, char *reason, size_t reason_size);
static bool read_twice(int fd, char *first, char *second, size_t *len,
					   char *reason, size_t reason_size);
static ssize_t read_whole(int fd, char *buffer, size_t size);
static void publish(const KmsMasterKeys *keys, KmsMasterState state,
					const char *reason);
static bool is_inside(const char *path, const char *directory);

void
kms_master_install(void)
{
	size_t		size = TYPEALIGN(sysconf(_SC_PAGESIZE), sizeof(KmsMasterKeys));

	shared_keys = map_secret(size);
	if (shared_keys == NULL)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not map memory for the master keys of kms: %m")));

#ifdef KMS_HAS_SHMEM_REQUEST_HOOK
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request;
#else
	request();
#endif
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
										   PG_WAIT_EXTENSION);
	ConditionVariableCancelSleep();
}

KmsStatus
kms_master_get(const unsigned char *id, KmsMasterKey *key)
{
	return get(id, NULL, key);
}

KmsStatus
kms_master_get_labelled(const char *label, KmsMasterKey *key)
{
	return get(NULL, label, key);
}

/* By fingerprint or label, else the current one. */
static KmsStatus
get(const unsigned char *id, const char *label, KmsMasterKey *key)
{
	const KmsMasterKey *found = NULL;
	KmsStatus	status = KMS_NO_MASTER_KEY;

	explicit_bzero(key, sizeof(*key));
	if (master == NULL)
		return KMS_NO_MASTER_KEY;

	kms_master_await();
	LWLockAcquire(&master->lock, LW_SHARED);
	if (master->status.state == KMS_MASTER_READY)
	{
		if (label != NULL)
			found = kms_master_keys_labelled(shared_keys, label);
		else if (id != NULL)
			found = kms_master_keys_find(shared_keys, id);
		else
			found = &shared_keys->keys[0];
		status = found != NULL ? KMS_OK : KMS_OTHER_MASTER_KEY;
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

void
kms_master_read(void)
{
	KmsMasterKeys *keys;
	char		reason[sizeof(master->status.reason)] = "";
	bool		good = false;

	if (master == NULL)
		return;

	keys = palloc0(sizeof(KmsMasterKeys));
	if (kms_master_key_file == NULL || kms_master_key_file[0] == '\0')
		publish(keys, KMS_MASTER_UNSET, reason);
	else
	{
		good = read_keys(keys, reason, sizeof(reason));
		publish(keys, good ? KMS_MASTER_READY : KMS_MASTER_REFUSED, reason);
	}
	explicit_bzero(keys, sizeof(*keys));
	pfree(keys);
}

char *
kms_master_file_warning(void)
{
	char		file[PATH_MAX];
	char		directory[PATH_MAX];

	if (kms_master_key_file == NULL || kms_master_key_file[0] == '\0')
		return NULL;

	/* backends run in the data directory */
	if (realpath(kms_master_key_file, file) == NULL ||
		realpath(DataDir, directory) == NULL)
		return NULL;
	if (is_inside(file, directory))
		return pstrdup("The master key file is inside the data directory, so that base backups carry it.");
	if (strstr(file, "/PG_" PG_MAJORVERSION "_") != NULL)
		return pstrdup("The master key file is inside a tablespace, so that base backups carry it.");
	return NULL;
}

/* Zeroed memory that forked processes share; NULL with errno. */
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
	if (memory == MAP_FAILED)
	{
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			return NULL;
		if (mlock(memory, size) != 0)
			ereport(LOG,
					(errmsg("memory for the master keys of kms could not be locked, and may be swapped out: %m"),
					 errhint("Raise the server's limit of locked memory (LimitMEMLOCK, ulimit -l).")));
	}
#ifdef MADV_DONTDUMP
	(void) madvise(memory, size, MADV_DONTDUMP);
#endif
	memset(memory, 0, size);
	return memory;
}

static void
request(void)
{
#ifdef KMS_HAS_SHMEM_REQUEST_HOOK
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
#endif
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

	LWLockAcquire(&kms_state->lock, LW_SHARED);
	runs = kms_state->launcher_pid != 0;
	LWLockRelease(&kms_state->lock);
	return runs;
}

static bool
read_keys(KmsMasterKeys *keys, char *reason, size_t reason_size)
{
	bool		good;
	int			fd;

	/* O_NONBLOCK: opening a FIFO must not hang */
	fd = open(kms_master_key_file,
			  O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
	{
		snprintf(reason, reason_size, "the file cannot be opened: %s",
				 strerror(errno));
		return false;
	}
	good = read_open_file(fd, keys, reason, reason_size);
	close(fd);
	return good;
}

static bool
read_open_file(int fd, KmsMasterKeys *keys, char *reason, size_t reason_size)
{
	struct stat before;
	struct stat after;
	char	   *first;
	char	   *second;
	size_t		len;
	bool		good = false;

	if (fstat(fd, &before) != 0)
	{
		snprintf(reason, reason_size, "the file cannot be examined: %s",
				 strerror(errno));
		return false;
	}
	if (!check_file(&before, reason, reason_size))
		return false;

	first = palloc0(FILE_SIZE_MAX + 1);
	second = palloc0(FILE_SIZE_MAX + 1);
	if (read_twice(fd, first, second, &len, reason, reason_size))
	{
		const char *why = NULL;
		int			line = 0;

		if (fstat(fd, &after) != 0 ||
			before.st_ino != after.st_ino ||
			before.st_size != after.st_size ||
			before.st_size != (off_t) len ||
			before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
			before.st_mtim.tv_nsec != after.st_mtim.tv_nsec)
			snprintf(reason, reason_size,
					 "the file changed while it was read; reload again");
		else if (kms_master_keys_parse(first, len, keys, &line, &why) == KMS_OK)
			good = true;
		else if (line > 0)
			snprintf(reason, reason_size, "line %d: %s", line, why);
		else
			snprintf(reason, reason_size, "%s", why);
	}
	explicit_bzero(first, FILE_SIZE_MAX + 1);
	explicit_bzero(second, FILE_SIZE_MAX + 1);
	pfree(first);
	pfree(second);
	return good;
}

static bool
check_file(const struct stat *st, char *reason, size_t reason_size)
{
	const char *why = NULL;

	if (!S_ISREG(st->st_mode))
		why = "it is not a regular file";
	else if (st->st_uid == geteuid())
	{
		if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
			why = "group or others have rights on it; chmod it to 0600 or 0400";
	}
	else if (st->st_uid != 0)
		why = "it belongs neither to the server's user nor to root; chown it to the server's user";
	else if ((st->st_mode & (S_IRWXO | S_IWGRP | S_IXGRP)) != 0)
		why = "it belongs to root and others have rights on it, or its group more than reading; chmod it to 0640 or 0440";

	if (why == NULL && st->st_size == 0)
		why = "it is empty";
	if (why == NULL && st->st_size > FILE_SIZE_MAX)
		why = "it is larger than 64 kB";
	if (why != NULL)
		snprintf(reason, reason_size, "%s", why);
	return why == NULL;
}

/* Two reads that differ show a file that is being written. */
static bool
read_twice(int fd, char *first, char *second, size_t *len,
		   char *reason, size_t reason_size)
{
	ssize_t		n = read_whole(fd, first, FILE_SIZE_MAX + 1);
	ssize_t		again = n < 0 ? n : read_whole(fd, second, FILE_SIZE_MAX + 1);

	if (n < 0 || again < 0)
	{
		snprintf(reason, reason_size, "the file cannot be read: %s",
				 strerror(errno));
		return false;
	}
	if (n != again || memcmp(first, second, (size_t) n) != 0)
	{
		snprintf(reason, reason_size,
				 "the file changed while it was read; reload again");
		return false;
	}
	*len = (size_t) n;
	return true;
}

static ssize_t
read_whole(int fd, char *buffer, size_t size)
{
	size_t		len = 0;

	while (len < size)
	{
		ssize_t		n = pread(fd, buffer + len, size - len, (off_t) len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		len += (size_t) n;
	}
	return (ssize_t) len;
}

static void
publish(const KmsMasterKeys *keys, KmsMasterState state, const char *reason)
{
	KmsMasterStatus *status = &master->status;
	bool		kept;
	bool		changed = false;
	int			count;
	int			i;

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
		status->count = keys->count;
		status->state = state;
		pg_atomic_write_u64(&master->generation, status->generation);
	}
	strlcpy(status->reason, reason, sizeof(status->reason));
	status->read_at = GetCurrentTimestamp();
	count = status->count;
	LWLockRelease(&master->lock);
	ConditionVariableBroadcast(&master->read);

	if (kept)
		ereport(LOG,
				(errmsg("master key file \"%s\" cannot be used, the keys read before stay in force",
						kms_master_key_file),
				 errdetail_internal("%s", reason)));
	else if (state == KMS_MASTER_REFUSED)
		ereport(LOG,
				(errmsg("master key file \"%s\" cannot be used",
						kms_master_key_file),
				 errdetail_internal("%s", reason)));
	else if (changed)
		ereport(LOG,
				(errmsg("kms: master keys read: %d", count)));
}

static bool
is_inside(const char *path, const char *directory)
{
	size_t		len = strlen(directory);

	return strncmp(path, directory, len) == 0 && path[len] == '/';
}
