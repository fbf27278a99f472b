/* Locks that keep the event writer from its tables, and their holders. */
#ifndef KMS_STORE_BLOCKER_H
#define KMS_STORE_BLOCKER_H

#include "nodes/pg_list.h"

typedef enum KmsBlockage
{
	KMS_BLOCKS_TABLE,			/* table, index or sequence of the trail */
	KMS_BLOCKS_ROW,				/* a row that the writer may change, too */
	KMS_BLOCKS_EXTENSION		/* the writer works without that lock */
} KmsBlockage;

/* One lock.  Strings are palloc'd. */
typedef struct KmsBlocker
{
	KmsBlockage blockage;
	bool		waits;			/* for the lock, and the writer waits behind
								 * it */
	char	   *object;			/* "kms.event" */
	char	   *mode;			/* "AccessExclusiveLock" */
	char	   *role;			/* NULL if unknown */
	int			pid;			/* 0: a prepared transaction */
	char	   *gid;			/* of the prepared transaction, or NULL */
} KmsBlocker;

/*
 * Return a list of KmsBlocker, ordered by object and process.  "rows" includes
 * transactions that may hold a row.  Autovacuum is left out, because it gives
 * way.
 */
extern List *kms_blocker_find(bool rows);

/*
 * Return whether the process that has locked the extension (an OID) has also
 * locked a table of kms against everybody, as DROP EXTENSION does.
 */
extern bool kms_blocker_is_dropping(Oid extension);

#endif							/* KMS_STORE_BLOCKER_H */
