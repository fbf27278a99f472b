/*
 * The rows of kms.progress.
 */
#ifndef KMS_KEYS_PROGRESS_REPORT_H
#define KMS_KEYS_PROGRESS_REPORT_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef struct KmsProgressLine
{
	int			pid;
	const char *database;		/* NULL if it was dropped in the meantime */
	const char *operation;
	const char *phase;
	int64		done;
	bool		has_total;
	int64		total;
	TimestampTz started_at;
} KmsProgressLine;

/*
 * Return a list of KmsProgressLine: what the processes of the server do that
 * takes long, in every database, as in pg_stat_progress_vacuum.  An
 * administrator asks from one database, and no line names a key or a device.
 */
extern List *kms_progress_report_read(void);

#endif							/* KMS_KEYS_PROGRESS_REPORT_H */
