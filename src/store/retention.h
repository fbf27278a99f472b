/*
 * Deleting and rolling up rows of kms.metric, for maintenance.  keys/sign.h
 * does this for the trail.
 */
#ifndef KMS_STORE_RETENTION_H
#define KMS_STORE_RETENTION_H

#include "datatype/timestamp.h"

/*
 * Process a batch of rows that are old at "now": at most "limit" rows, oldest
 * first.  Return their number.  Rolling up adds minutes older than two days to
 * their hours.
 */
extern int64 kms_retention_purge_metrics(TimestampTz now, int limit);
extern int64 kms_retention_roll_metrics(TimestampTz now, int limit);

#endif							/* KMS_STORE_RETENTION_H */
