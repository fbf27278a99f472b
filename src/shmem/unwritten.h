/*
 * Rings that a server has from a time when it was a primary.  On a standby
 * nobody writes what they hold.
 */
#ifndef KMS_SHMEM_UNWRITTEN_H
#define KMS_SHMEM_UNWRITTEN_H

#include "nodes/pg_list.h"

typedef struct KmsUnwritten
{
	const char *path;			/* in the data directory */
	int64		epoch;
	uint64		tail;			/* what is before it was written */
	uint64		head;
} KmsUnwritten;

/*
 * Those of this database and this extension, palloc'd; nothing in them is
 * changed.  May raise.
 */
extern List *kms_unwritten_rings(Oid extension_oid);

#endif							/* KMS_SHMEM_UNWRITTEN_H */
