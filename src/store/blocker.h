/*
 * Locks that keep the event writer from its tables, and whose they are.
 */
#ifndef KMS_STORE_BLOCKER_H
#define KMS_STORE_BLOCKER_H

#include "nodes/pg_list.h"

typedef enum KmsBlockage
{
	KMS_BLOCKS_TABLE,			/* a table, index or sequence of the trail */
	KMS_BLOCKS_ROW,				/* may have changed a row that the writer
								 * changes, too */
	KMS_BLOCKS_EXTENSION		/* the writer works without that lock */
} KmsBlockage;

/* One lock.  Strings are palloc'd. */
typedef struct KmsBlocker
{
	KmsBlockage blockage;
	bool		waits;			/* for the lock; the writer waits behind it */
	char	   *object;			/* "kms.event" */
	char	   *mode;			/* "AccessExclusiveLock" */
	char	   *role;			/* NULL if it is not known */
	int			pid;			/* 0: a prepared transaction */
	char	   *gid;			/* of the prepared transaction, or NULL */
} KmsBlocker;

/*
 * A list of KmsBlocker, by object and process.  "rows": also transactions
 * that may hold a row.  Autovacuum, which gives way, is left out.
 */
extern List *kms_blocker_find(bool rows);

/*
 * Whether the process that has locked the extension (an OID) has locked a
 * table of kms against everybody as well, as one that drops it has.
 */
extern bool kms_blocker_is_dropping(Oid extension);

#endif							/* KMS_STORE_BLOCKER_H */
