/*
 * Rings that a server has from the time when it was a primary.  On a standby,
 * no process writes their events.
 */
#ifndef KMS_SHMEM_UNWRITTEN_H
#define KMS_SHMEM_UNWRITTEN_H

#include "nodes/pg_list.h"

typedef struct KmsUnwritten
{
	const char *path;			/* in the data directory */
	int64		epoch;
	uint64		tail;			/* events before it were written */
	uint64		head;
} KmsUnwritten;

/*
 * Return the rings of this database and this extension, palloc'd.  The rings
 * are not changed.  May raise an error.
 */
extern List *kms_unwritten_rings(Oid extension_oid);

#endif							/* KMS_SHMEM_UNWRITTEN_H */
