/*
 * The command line of the server.
 */
#ifndef KMS_PG_COMMAND_LINE_H
#define KMS_PG_COMMAND_LINE_H

#include "nodes/pg_list.h"

/*
 * Return the settings of kms on the command line of the server, as palloc'd
 * texts "name=value".  The server keeps its command line in postmaster.opts;
 * if that cannot be read, the list is empty.
 */
extern List *kms_command_line_settings(void);

#endif							/* KMS_PG_COMMAND_LINE_H */
