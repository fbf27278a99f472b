#include "postgres.h"

#include "access/timeline.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"

#include "pg/wal.h"

#include "pg/compat.h"

void
kms_wal_position(uint32 *timeline, uint64 *position)
{
	TimeLineID	replayed = 0;

	if (RecoveryInProgress())
	{
		*position = GetXLogReplayRecPtr(&replayed);
		*timeline = replayed;
	}
	else
	{
		*position = GetXLogInsertRecPtr();
		*timeline = GetWALInsertionTimeLine();
	}
}

void
kms_wal_flushed(uint32 *timeline, uint64 *position)
{
	TimeLineID	written;

	*position = GetFlushRecPtr(&written);
	*timeline = written;
}

bool
kms_wal_contains(uint32 timeline, uint64 position)
{
	uint32		current;
	uint64		end;
	List	   *history;
	ListCell   *cell;
	bool		contains = false;

	kms_wal_position(&current, &end);
	if (timeline == current)
		return position <= end;
	history = readTimeLineHistory(current);
	foreach(cell, history)
	{
		const TimeLineHistoryEntry *entry = lfirst(cell);

		if (entry->tli == timeline)
			contains = !XLogRecPtrIsInvalid(entry->end) &&
				position <= entry->end;
	}
	list_free_deep(history);
	return contains;
}
