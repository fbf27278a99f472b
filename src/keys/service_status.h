/* The state of kms in this database, as kms.read_status() lists it. */
#ifndef KMS_KEYS_SERVICE_STATUS_H
#define KMS_KEYS_SERVICE_STATUS_H

#include "nodes/pg_list.h"

typedef struct KmsStatusItem
{
	const char *item;
	const char *value;
} KmsStatusItem;

/* Return a list of KmsStatusItem. */
extern List *kms_service_status_read(void);

#endif							/* KMS_KEYS_SERVICE_STATUS_H */
