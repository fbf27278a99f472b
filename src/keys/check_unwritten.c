#include "postgres.h"

#include "access/xlog.h"
#include "commands/extension.h"
#include "lib/stringinfo.h"

#include "keys/check_unwritten.h"

#include "pg/compat.h"
#include "shmem/unwritten.h"
#include "store/epoch_table.h"

static uint64 count_left(StringInfo paths);

uint64
kms_check_unwritten_count(void)
{
	StringInfoData paths;

	initStringInfo(&paths);
	return count_left(&paths);
}

void
kms_check_unwritten(KmsReport report, void *arg)
{
	StringInfoData paths;
	uint64		count;

	initStringInfo(&paths);
	count = count_left(&paths);
	if (count > 0)
		report(arg, "error",
			   psprintf("events that this server recorded as a primary are in no trail: " UINT64_FORMAT " in %s",
						count, paths.data),
			   "Save that file before pg_rewind or a new copy of the primary removes it, and read it with the program kms_ring.");
}

/* Count the events, and append the paths of their rings to "paths". */
static uint64
count_left(StringInfo paths)
{
	Oid			extension = get_extension_oid("kms", true);
	uint64		count = 0;
	ListCell   *cell;

	if (!RecoveryInProgress() || !OidIsValid(extension))
		return 0;
	foreach(cell, kms_unwritten_rings(extension))
	{
		const KmsUnwritten *left = lfirst(cell);
		KmsEpochRow epoch;
		uint64		from = left->tail;

		/* the tables may be ahead of the ring's tail */
		if (kms_epoch_table_find(&epoch, left->epoch) && epoch.position > 0)
			from = Max(from, (uint64) epoch.position);
		if (from >= left->head)
			continue;
		count += left->head - from;
		appendStringInfo(paths, "%s%s", paths->len > 0 ? ", " : "",
						 left->path);
	}
	return count;
}
