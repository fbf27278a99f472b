/*
 * What maintenance takes out of kms.metric; of the trail see keys/sign.h.
 */
#ifndef KMS_STORE_RETENTION_H
#define KMS_STORE_RETENTION_H

#include "datatype/timestamp.h"

/*
 * A batch of what is old at "now": at most "limit" rows, oldest first; each
 * returns how many.
 * Rolling adds minutes older than two days to their hours.
 */
extern int64 kms_retention_purge_metrics(TimestampTz now, int limit);
extern int64 kms_retention_roll_metrics(TimestampTz now, int limit);

#endif							/* KMS_STORE_RETENTION_H */
