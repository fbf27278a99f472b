/*
 * The files in pg_stat_tmp that hold event rings; see docs/design/ring.md.
 *
 * No function that a push may call raises an error or allocates memory.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "shmem/ring_file.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "shmem/anchor_file.h"
#include "shmem/shared.h"

#define RING_PREFIX		"kms."
#define COMPLAINT_PAUSE_MS	60000	/* between two log lines about a ring */

static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void place_served_databases(void);
static List *find_databases(void);
static void close_rings(int code, Datum arg);
static void close_ring_of(Oid database_oid);
static void report_unwritten(const char *path, KmsRing *header,
							 Oid database_oid);
static KmsRingFileState map_file(const char *path, int fd, KmsRing **found,
								 size_t *size);

void
kms_ring_file_install(void)
{
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = place_served_databases;
}

/*
 * Give the databases that were served before their places, older ones before
 * newer ones.  This must run after the hook of shmem/shared.c has made the
 * table of databases, and before any session can start.  The launcher frees
 * the places of databases that are gone.
 */
static void
place_served_databases(void)
{
	List	   *databases;
	ListCell   *cell;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	if (IsUnderPostmaster)
		return;
	on_shmem_exit(close_rings, (Datum) 0);
	databases = find_databases();
	foreach(cell, databases)
		(void) kms_shared_enter(lfirst_oid(cell));
	list_free(databases);
}

/* Return the databases that have ring files, in ascending order. */
static List *
find_databases(void)
{
	DIR		   *dir = AllocateDir(PG_STAT_TMP_DIR);
	struct dirent *entry;
	List	   *databases = NIL;

	while ((entry = ReadDirExtended(dir, PG_STAT_TMP_DIR, LOG)) != NULL)
	{
		Oid			database_oid;
		int64		epoch;

		if (kms_ring_file_parse(entry->d_name, &database_oid, &epoch))
			databases = list_append_unique_oid(databases, database_oid);
	}
	FreeDir(dir);
	list_sort(databases, list_oid_cmp);
	return databases;
}

void
kms_ring_file_path(char *path, Oid database_oid, int64 epoch)
{
	if (epoch == 0)
		snprintf(path, MAXPGPATH, "%s/" RING_PREFIX "%u",
				 PG_STAT_TMP_DIR, database_oid);
	else
		snprintf(path, MAXPGPATH, "%s/" RING_PREFIX "%u." INT64_FORMAT,
				 PG_STAT_TMP_DIR, database_oid, epoch);
}

bool
kms_ring_file_parse(const char *name, Oid *database_oid, int64 *epoch)
{
	char	   *end;
	unsigned long value;

	if (strncmp(name, RING_PREFIX, strlen(RING_PREFIX)) != 0)
		return false;
	name += strlen(RING_PREFIX);
	if (*name < '1' || *name > '9')
		return false;
	errno = 0;
	value = strtoul(name, &end, 10);
	if (errno != 0 || value > PG_UINT32_MAX || (*end != '\0' && *end != '.'))
		return false;
	*database_oid = (Oid) value;
	*epoch = 0;
	if (*end == '.' && end[1] >= '1' && end[1] <= '9')
	{
		errno = 0;
		*epoch = strtoi64(end + 1, &end, 10);
		if (errno != 0 || *end != '\0')
			*epoch = 0;
	}
	return true;
}

bool
kms_ring_file_exists(Oid database_oid)
{
	char		path[MAXPGPATH];
	struct stat st;

	kms_ring_file_path(path, database_oid, 0);
	return lstat(path, &st) == 0;
}

void
kms_ring_file_sweep(bool (*exists) (Oid database_oid, void *arg), void *arg)
{
	DIR		   *dir = AllocateDir(PG_STAT_TMP_DIR);
	struct dirent *entry;

	while ((entry = ReadDir(dir, PG_STAT_TMP_DIR)) != NULL)
	{
		char		path[MAXPGPATH];
		Oid			database_oid;
		int64		epoch;

		if (!kms_ring_file_parse(entry->d_name, &database_oid, &epoch) ||
			exists(database_oid, arg))
			continue;
		snprintf(path, sizeof(path), "%s/%s", PG_STAT_TMP_DIR, entry->d_name);
		if (unlink(path) < 0 && errno != ENOENT)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not remove file \"%s\": %m", path),
					 KMS_HIDE_STATEMENT));
	}
	FreeDir(dir);
	kms_anchor_file_sweep(exists, arg);
}

KmsRingFileState
kms_ring_file_open(const char *path, KmsRing **found, size_t *size, Oid *extension)
{
	KmsRingIdentity identity;
	KmsRingFileState result;
	int			fd;

	*found = NULL;
	fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
	{
		int			error = errno;

		if (error == ENOENT)
			return KMS_RING_FILE_ABSENT;
		kms_ring_file_complain(path, "opened", error);
		/* These errors mean a link, a directory or a socket. */
		return error == ELOOP || error == EISDIR || error == ENXIO ?
			KMS_RING_FILE_ABSENT : KMS_RING_FILE_UNREADABLE;
	}
	result = map_file(path, fd, found, size);
	close(fd);

	if (result == KMS_RING_FILE_OPENED)
	{
		*extension = kms_ring_identity(*found)->extension_oid;
		kms_ring_file_identity(&identity, *extension);
		if (!kms_ring_valid(*found, *size, &identity))
		{
			munmap(*found, *size);
			*found = NULL;
			result = KMS_RING_FILE_ABSENT;
		}
	}
	if (result == KMS_RING_FILE_ABSENT)
		kms_ring_file_complain(path, "used: it is not one of this database", 0);
	return result;
}

/*
 * Map the file without a look at its contents.  Return KMS_RING_FILE_ABSENT if
 * it cannot be a ring of ours.
 */
static KmsRingFileState
map_file(const char *path, int fd, KmsRing **found, size_t *size)
{
	struct stat st;
	void	   *memory;

	if (fstat(fd, &st) < 0)
	{
		kms_ring_file_complain(path, "examined", errno);
		return KMS_RING_FILE_UNREADABLE;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
		st.st_size < KMS_RING_HEADER_SIZE + KMS_RING_SLOT_SIZE ||
		st.st_size > (off_t) MaxAllocHugeSize)
		return KMS_RING_FILE_ABSENT;

	/* An operator may have changed modes throughout the data directory. */
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0 &&
		fchmod(fd, S_IRUSR | S_IWUSR) < 0)
	{
		kms_ring_file_complain(path, "made private", errno);
		return KMS_RING_FILE_UNREADABLE;
	}
	memory = mmap(NULL, (size_t) st.st_size, PROT_READ | PROT_WRITE,
				  MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
	{
		kms_ring_file_complain(path, "mapped", errno);
		return KMS_RING_FILE_UNREADABLE;
	}
	*found = memory;
	*size = (size_t) st.st_size;
	return KMS_RING_FILE_OPENED;
}

KmsRing *
kms_ring_file_make(const char *path, size_t size, Oid extension_oid)
{
	char		temporary[MAXPGPATH];
	KmsRingIdentity identity;
	KmsRing    *made = NULL;
	int64		epoch = kms_ring_file_new_epoch();
	int			fd;
	int			rc;

	if (epoch == 0)
	{
		kms_ring_file_complain(path, "made without random numbers", 0);
		return NULL;
	}

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	(void) unlink(temporary);
	fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			  S_IRUSR | S_IWUSR);
	if (fd < 0)
	{
		kms_ring_file_complain(path, "made", errno);
		return NULL;
	}

	do
	{
		rc = posix_fallocate(fd, 0, (off_t) size);
	} while (rc == EINTR);
	if (rc != 0)
	{
		kms_ring_file_complain(path, "allocated", rc);
	}
	else
	{
		made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (made == MAP_FAILED)
		{
			kms_ring_file_complain(path, "mapped", errno);
			made = NULL;
		}
	}
	close(fd);

	if (made != NULL)
	{
		kms_ring_file_identity(&identity, extension_oid);
		kms_ring_format(made, kms_ring_slots(size), epoch, &identity);

		/*
		 * Mark it before other sessions find it, because without a mark it
		 * seems to be damaged.
		 */
		kms_ring_mark(made, kms_ring_file_boot(), false);
		if (rename(temporary, path) < 0)
		{
			kms_ring_file_complain(path, "renamed", errno);
			munmap(made, size);
			made = NULL;
		}
	}
	if (made == NULL)
		(void) unlink(temporary);
	return made;
}

int64
kms_ring_file_new_epoch(void)
{
	uint64		epoch;

	if (!pg_strong_random(&epoch, sizeof(epoch)))
		return 0;
	return (int64) ((epoch & PG_INT64_MAX) | 1);
}

void
kms_ring_file_identity(KmsRingIdentity *identity, Oid extension_oid)
{
	memset(identity, 0, sizeof(*identity));
	identity->system_identifier = GetSystemIdentifier();
	identity->database_oid = MyDatabaseId;
	identity->extension_oid = extension_oid;
}

void
kms_ring_file_complain(const char *path, const char *cannot_be, int error)
{
	KmsDatabase *database = kms_shared_database();

	if (database == NULL ||
		kms_shared_pausing(database->ring_silent_until, COMPLAINT_PAUSE_MS))
		return;
	database->ring_silent_until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), COMPLAINT_PAUSE_MS);
	errno = error;
	ereport(LOG,
			(error != 0 ?
			 errmsg("event ring \"%s\" cannot be %s: %m", path, cannot_be) :
			 errmsg("event ring \"%s\" cannot be %s", path, cannot_be),
			 KMS_HIDE_STATEMENT));
}

uint64
kms_ring_file_boot(void)
{
	static uint64 hash = 0;
	char		id[36];
	int			fd;
	int			i;

	if (hash != 0)
		return hash;
	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, id, sizeof(id)) == sizeof(id))
	{
		hash = UINT64CONST(0xcbf29ce484222325); /* FNV-1a */
		for (i = 0; i < (int) sizeof(id); i++)
			hash = (hash ^ (unsigned char) id[i]) * UINT64CONST(0x100000001b3);
	}
	close(fd);
	return hash;
}

/*
 * Runs in the postmaster, when all producers have ended.  After a crash of the
 * server, "code" is not 0.
 */
static void
close_rings(int code, Datum arg)
{
	int			i;

	if (code != 0 || kms_shared == NULL)
		return;
	for (i = 0; i < kms_shared->slots; i++)
	{
		KmsDatabase *database = &kms_shared->databases[i];

		if (OidIsValid(database->oid) &&
			pg_atomic_read_u64(&database->ring_generation) != 0)
			close_ring_of(database->oid);
	}
}

static void
close_ring_of(Oid database_oid)
{
	char		path[MAXPGPATH];
	KmsRing    *header;
	struct stat st;
	int			fd;

	kms_ring_file_path(path, database_oid, 0);
	fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		st.st_size >= KMS_RING_HEADER_SIZE && fsync(fd) == 0)
	{
		header = mmap(NULL, KMS_RING_HEADER_SIZE, PROT_READ | PROT_WRITE,
					  MAP_SHARED, fd, 0);
		if (header != MAP_FAILED)
		{
			report_unwritten(path, header, database_oid);
			kms_ring_mark(header, kms_ring_file_boot(), true);
			(void) msync(header, KMS_RING_HEADER_SIZE, MS_SYNC);
			munmap(header, KMS_RING_HEADER_SIZE);
		}
	}
	close(fd);
}

/* Log the events that the writer could not write before the server stopped. */
static void
report_unwritten(const char *path, KmsRing *header, Oid database_oid)
{
	KmsRingCounters counters;

	kms_ring_counters(header, &counters);
	if (counters.head == counters.tail &&
		!kms_tally_pending(kms_ring_tally(header)))
		return;
	ereport(LOG,
			(errmsg("kms: the server stops with %llu events of database %u in the event ring \"%s/%s\"%s",
					(unsigned long long) (counters.head - counters.tail),
					database_oid, DataDir, path,
					kms_tally_pending(kms_ring_tally(header)) ?
					", and counts of others" : ""),
			 errhint("The events are written when this server starts as a primary again. If another server takes over, save that file."),
			 KMS_HIDE_STATEMENT));
}
