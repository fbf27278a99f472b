/* The master keys, as kms_master_key_status() lists them. */
#ifndef KMS_KEYS_MASTER_KEY_STATUS_H
#define KMS_KEYS_MASTER_KEY_STATUS_H

#include "nodes/pg_list.h"

#include "crypto/master_key.h"

/*
 * A master key that the server has or that rows of this database need.  A line
 * without an id says why there is no master key, or that it is being read.
 */
typedef struct KmsMasterKeyLine
{
	bool		has_id;
	unsigned char id[KMS_MASTER_KEY_ID_SIZE];
	char		label[KMS_MASTER_KEY_LABEL];	/* "" if it has none */
	const char *status;
	int64		keys;			/* keys of devices under it */
	int64		peppers;		/* peppers and audit keys under it */
	int64		field_keys;		/* rows of kms.field_key */
	const char *detail;			/* NULL if there is none */
} KmsMasterKeyLine;

/* Return a list of KmsMasterKeyLine, in the order of kms_rewrap_uses(). */
extern List *kms_master_key_status_read(void);

#endif							/* KMS_KEYS_MASTER_KEY_STATUS_H */
