/*
 * The master keys as kms_master_key_status() lists them.
 */
#ifndef KMS_KEYS_MASTER_KEY_STATUS_H
#define KMS_KEYS_MASTER_KEY_STATUS_H

#include "nodes/pg_list.h"

#include "crypto/master_key.h"

/*
 * A master key that the server has or that rows of this database need; or,
 * without an id, why there is none.
 */
typedef struct KmsMasterKeyLine
{
	bool		has_id;
	unsigned char id[KMS_MASTER_KEY_ID_SIZE];
	char		label[KMS_MASTER_KEY_LABEL];	/* "" for none */
	const char *status;
	int64		keys;			/* of devices, wrapped under it */
	int64		peppers;		/* and audit keys */
	const char *detail;			/* NULL for none */
} KmsMasterKeyLine;

/* A list of KmsMasterKeyLine, in the order of kms_rewrap_uses(). */
extern List *kms_master_key_status_read(void);

#endif							/* KMS_KEYS_MASTER_KEY_STATUS_H */
