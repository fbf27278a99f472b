/*
 * What the server was started with.
 */
#ifndef KMS_PG_COMMAND_LINE_H
#define KMS_PG_COMMAND_LINE_H

#include "nodes/pg_list.h"

/*
 * Settings of kms on the command line of the server, palloc'd texts
 * "name=value".  The server keeps its command line in postmaster.opts; if that
 * cannot be read there are none.
 */
extern List *kms_command_line_settings(void);

#endif							/* KMS_PG_COMMAND_LINE_H */
