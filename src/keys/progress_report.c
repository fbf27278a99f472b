#include "postgres.h"

#include "commands/dbcommands.h"

#include "keys/progress_report.h"

#include "shmem/progress.h"

List *
kms_progress_report_read(void)
{
	List	   *lines = NIL;
	ListCell   *cell;

	foreach(cell, kms_progress_read())
	{
		const KmsProgressRow *row = lfirst(cell);
		KmsProgressLine *line = palloc0(sizeof(KmsProgressLine));

		line->pid = row->pid;
		line->database = get_database_name(row->database);
		line->operation = row->operation;
		line->phase = row->phase;
		line->done = row->done;
		line->has_total = row->total != KMS_PROGRESS_UNKNOWN;
		line->total = row->total;
		line->started_at = row->started_at;
		lines = lappend(lines, line);
	}
	return lines;
}
