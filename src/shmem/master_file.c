/*
 * A master key file is opened once, and the opened file is checked.  Links are
 * followed: a user who can change a link gains nothing by it, because the file
 * that is opened must pass the same checks.  The file is read twice, so that a
 * file that is being written is not taken for a complete one.
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"

#include "shmem/master_file.h"

#include "pg/settings.h"
#include "shmem/master.h"

#define FILE_SIZE_MAX	(64 * 1024)

static bool read_open_file(int fd, char *first, char *second,
						   KmsMasterKeys *keys,
						   char *reason, size_t reason_size);
static bool check_file(const struct stat *st, char *reason, size_t reason_size);
static bool read_twice(int fd, char *first, char *second, size_t *len,
					   char *reason, size_t reason_size);
static ssize_t read_whole(int fd, char *buffer, size_t size);
static bool is_inside(const char *path, const char *directory);

bool
kms_master_file_read(KmsMasterKeys *keys, char *reason, size_t reason_size)
{
	char	   *first = palloc0(FILE_SIZE_MAX + 1);
	char	   *second = palloc0(FILE_SIZE_MAX + 1);
	bool		good = false;
	int			fd;

	/* O_NONBLOCK, because opening a FIFO must not hang. */
	fd = open(kms_master_key_file,
			  O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		snprintf(reason, reason_size, "the file cannot be opened: %s",
				 strerror(errno));
	else
	{
		good = read_open_file(fd, first, second, keys, reason, reason_size);
		close(fd);
	}
	explicit_bzero(first, FILE_SIZE_MAX + 1);
	explicit_bzero(second, FILE_SIZE_MAX + 1);
	pfree(first);
	pfree(second);
	return good;
}

char *
kms_master_file_warning(void)
{
	char		file[PATH_MAX];
	char		directory[PATH_MAX];

	if (kms_master_key_file == NULL || kms_master_key_file[0] == '\0')
		return NULL;

	/*
	 * Relative paths are relative to the data directory, where backends run.
	 */
	if (realpath(kms_master_key_file, file) == NULL ||
		realpath(DataDir, directory) == NULL)
		return NULL;
	if (is_inside(file, directory))
		return pstrdup("The master key file is inside the data directory, so base backups contain it.");
	if (strstr(file, "/PG_" PG_MAJORVERSION "_") != NULL)
		return pstrdup("The master key file is inside a tablespace, so base backups contain it.");
	return NULL;
}

/* Raises no error, because the buffers hold keys. */
static bool
read_open_file(int fd, char *first, char *second, KmsMasterKeys *keys,
			   char *reason, size_t reason_size)
{
	struct stat before;
	struct stat after;
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

	if (read_twice(fd, first, second, &len, reason, reason_size))
	{
		if (fstat(fd, &after) != 0 ||
			before.st_ino != after.st_ino ||
			before.st_size != after.st_size ||
			before.st_size != (off_t) len ||
			before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
			before.st_mtim.tv_nsec != after.st_mtim.tv_nsec)
			snprintf(reason, reason_size,
					 "the file changed while it was read; reload again");
		else
			good = kms_master_parse(first, len, keys, reason, reason_size);
	}
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

/* If two reads differ, the file is being written. */
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

static bool
is_inside(const char *path, const char *directory)
{
	size_t		len = strlen(directory);

	return strncmp(path, directory, len) == 0 && path[len] == '/';
}
