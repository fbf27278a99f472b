/*
 * The anchor of a trail in a file.
 *
 * The file is in pg_stat because base backups contain that directory, but not
 * pg_stat_tmp.  The server itself removes nothing there but its own
 * statistics.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"

#include "shmem/anchor_file.h"

#include "pg/fault.h"

#define FILE_PREFIX "kms."

static void file_path(Oid database_oid, char *path);
static bool write_whole(const char *path, const unsigned char *data,
						size_t len);
static Oid	database_of(const char *name);

bool
kms_anchor_file_read(Oid extension_oid, KmsAnchor *anchor)
{
	char		path[MAXPGPATH];
	unsigned char stored[KMS_ANCHOR_SIZE];
	ssize_t		len;
	int			fd;

	file_path(MyDatabaseId, path);
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
	{
		if (errno != ENOENT)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not open file \"%s\": %m", path),
					 KMS_HIDE_STATEMENT));
		return false;
	}
	len = read(fd, stored, sizeof(stored));
	close(fd);
	if (len != sizeof(stored) || !kms_anchor_decode(stored, anchor) ||
		anchor->identity.system_identifier != GetSystemIdentifier() ||
		anchor->identity.database_oid != MyDatabaseId ||
		anchor->identity.extension_oid != extension_oid)
		return false;
	anchor->exact = 0;
	return true;
}

bool
kms_anchor_file_write(const KmsAnchor *anchor)
{
	char		path[MAXPGPATH];
	char		temporary[MAXPGPATH + 8];
	unsigned char stored[KMS_ANCHOR_SIZE];

	file_path(anchor->identity.database_oid, path);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	kms_anchor_encode(anchor, stored);
	if (write_whole(temporary, stored, sizeof(stored)) &&
		rename(temporary, path) == 0)
	{
		(void) fsync_fname_ext(PGSTAT_STAT_PERMANENT_DIRECTORY, true, true, LOG);
		return true;
	}
	ereport(LOG,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\": %m", path),
			 KMS_HIDE_STATEMENT));
	(void) unlink(temporary);
	return false;
}

void
kms_anchor_file_sweep(bool (*exists) (Oid database_oid, void *arg), void *arg)
{
	DIR		   *dir = AllocateDir(PGSTAT_STAT_PERMANENT_DIRECTORY);
	struct dirent *entry;

	while ((entry = ReadDir(dir, PGSTAT_STAT_PERMANENT_DIRECTORY)) != NULL)
	{
		char		path[MAXPGPATH];
		Oid			database_oid = database_of(entry->d_name);

		if (!OidIsValid(database_oid) || exists(database_oid, arg))
			continue;
		snprintf(path, sizeof(path), "%s/%s", PGSTAT_STAT_PERMANENT_DIRECTORY,
				 entry->d_name);
		if (unlink(path) < 0 && errno != ENOENT)
			ereport(LOG,
					(errcode_for_file_access(),
					 errmsg("could not remove file \"%s\": %m", path),
					 KMS_HIDE_STATEMENT));
	}
	FreeDir(dir);
}

static void
file_path(Oid database_oid, char *path)
{
	snprintf(path, MAXPGPATH, "%s/" FILE_PREFIX "%u",
			 PGSTAT_STAT_PERMANENT_DIRECTORY, database_oid);
}

/* Write a file and sync it.  Return false with errno on failure. */
static bool
write_whole(const char *path, const unsigned char *data, size_t len)
{
	ssize_t		written;
	int			error = 0;
	int			fd;

	(void) unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			  S_IRUSR | S_IWUSR);
	if (fd < 0)
		return false;
	errno = ENOSPC;				/* if the write is short and sets no errno */
	written = write(fd, data, len);
	if (written != (ssize_t) len || pg_fsync(fd) != 0)
		error = errno;
	if (close(fd) != 0 && error == 0)
		error = errno;
	errno = error;
	return error == 0;
}

/*
 * Return the database OID in "kms.<oid>" or "kms.<oid>.new", or InvalidOid for
 * any other name.
 */
static Oid
database_of(const char *name)
{
	char	   *end;
	unsigned long value;

	if (strncmp(name, FILE_PREFIX, strlen(FILE_PREFIX)) != 0)
		return InvalidOid;
	name += strlen(FILE_PREFIX);
	if (*name < '1' || *name > '9')
		return InvalidOid;
	errno = 0;
	value = strtoul(name, &end, 10);
	if (errno != 0 || value > PG_UINT32_MAX ||
		(*end != '\0' && strcmp(end, ".new") != 0))
		return InvalidOid;
	return (Oid) value;
}
