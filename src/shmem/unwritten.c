#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"

#include "shmem/unwritten.h"

#include "pg/compat.h"
#include "shmem/ring.h"
#include "shmem/ring_file.h"

static KmsUnwritten *read_ring(const char *path, Oid extension_oid);

List *
kms_unwritten_rings(Oid extension_oid)
{
	DIR		   *dir = AllocateDir(PG_STAT_TMP_DIR);
	struct dirent *entry;
	List	   *rings = NIL;

	while ((entry = ReadDir(dir, PG_STAT_TMP_DIR)) != NULL)
	{
		Oid			database_oid;
		int64		epoch;
		KmsUnwritten *left;

		if (!kms_ring_file_parse(entry->d_name, &database_oid, &epoch) ||
			database_oid != MyDatabaseId)
			continue;
		left = read_ring(psprintf("%s/%s", PG_STAT_TMP_DIR, entry->d_name),
						 extension_oid);
		if (left != NULL)
			rings = lappend(rings, left);
	}
	FreeDir(dir);
	return rings;
}

/* Read the header of a ring.  Return NULL if it is no ring of ours. */
static KmsUnwritten *
read_ring(const char *path, Oid extension_oid)
{
	KmsRingIdentity identity = {
		.system_identifier = GetSystemIdentifier(),
		.database_oid = MyDatabaseId,
		.extension_oid = extension_oid
	};
	KmsUnwritten *left = NULL;
	char	   *buffer = palloc(KMS_RING_HEADER_SIZE + PG_CACHE_LINE_SIZE);
	KmsRing    *header = (KmsRing *) TYPEALIGN(PG_CACHE_LINE_SIZE, buffer);
	struct stat st;
	int			fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	bool		good;

	if (fd < 0)
		return NULL;

	/*
	 * Read the file instead of mapping it, because it may be truncated at any
	 * time.
	 */
	good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		pread(fd, header, KMS_RING_HEADER_SIZE, 0) == KMS_RING_HEADER_SIZE;
	close(fd);
	if (!good)
		return NULL;
	if (kms_ring_valid(header, (size_t) st.st_size, &identity))
	{
		KmsRingCounters counters;

		kms_ring_counters(header, &counters);
		left = palloc(sizeof(KmsUnwritten));
		left->path = path;
		left->epoch = kms_ring_epoch(header);
		left->tail = counters.tail;
		left->head = counters.head;
	}
	pfree(buffer);
	return left;
}
