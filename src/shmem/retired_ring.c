#include "postgres.h"

#include <dirent.h>
#include <sys/mman.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/fd.h"

#include "shmem/retired_ring.h"

#include "shmem/ring_file.h"
#include "shmem/session_ring.h"

static char retired_path[MAXPGPATH];	/* path of the ring that was opened
										 * last */

static KmsRing *open_retired(int64 epoch, bool *unread);

KmsRing *
kms_retired_ring_open(int64 first, bool *intact, bool *unread)
{
	KmsRing    *retired = first > 0 ? open_retired(first, unread) : NULL;
	DIR		   *dir = AllocateDir(PG_STAT_TMP_DIR);
	struct dirent *entry;

	while (retired == NULL && (entry = ReadDir(dir, PG_STAT_TMP_DIR)) != NULL)
	{
		Oid			database_oid;
		int64		epoch;

		if (kms_ring_file_parse(entry->d_name, &database_oid, &epoch) &&
			epoch != 0 && database_oid == MyDatabaseId)
			retired = open_retired(epoch, unread);
	}
	FreeDir(dir);

	if (retired != NULL)
	{
		*intact = kms_ring_intact(retired, kms_ring_file_boot());
		(void) kms_ring_take_over(retired, kms_shared->generation);
	}
	return retired;
}

/*
 * Map the replaced ring of this epoch.  Return NULL if it does not exist or is
 * of no use; then delete it if it is no ring of this extension.
 */
static KmsRing *
open_retired(int64 epoch, bool *unread)
{
	KmsRing    *retired;
	KmsRingIdentity own;
	KmsRingFileState result;
	size_t		size;
	Oid			extension;

	kms_session_ring_identity(&own);
	kms_ring_file_path(retired_path, MyDatabaseId, epoch);
	result = kms_ring_file_open(retired_path, &retired, &size, &extension);
	if (result == KMS_RING_FILE_UNREADABLE)
		*unread = true;
	else if (result == KMS_RING_FILE_ABSENT || extension != own.extension_oid)
		(void) unlink(retired_path);
	else if (kms_ring_epoch(retired) == epoch)
		return retired;
	else
		kms_ring_file_complain(retired_path, "used: its epoch is not that in its name", 0);
	if (retired != NULL)
		munmap(retired, size);
	return NULL;
}

bool
kms_retired_ring_discard(KmsRing *retired)
{
	KmsRingCounters counters;

	kms_ring_counters(retired, &counters);
	munmap(retired, kms_ring_bytes(counters.slots));
	if (unlink(retired_path) == 0 || errno == ENOENT)
		return true;
	kms_ring_file_complain(retired_path, "removed", errno);
	return false;
}
