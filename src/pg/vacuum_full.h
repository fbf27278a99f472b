/*
 * VACUUM FULL by the owner of the database, who may vacuum other users'
 * tables.
 *
 * VACUUM FULL requests AccessExclusiveLock, and the event writer would wait
 * behind that request as long as any session reads the table.  So tables of
 * kms that the current user does not own are skipped with a warning, as
 * PostgreSQL does with tables that a role may not vacuum.
 */
#ifndef KMS_PG_VACUUM_FULL_H
#define KMS_PG_VACUUM_FULL_H

#include "nodes/plannodes.h"

/*
 * Return the statement to run instead of this one: mostly the same, otherwise
 * a palloc'd copy, or NULL if no table is left.
 */
extern PlannedStmt *kms_vacuum_full_spare(PlannedStmt *statement);

#endif							/* KMS_PG_VACUUM_FULL_H */
