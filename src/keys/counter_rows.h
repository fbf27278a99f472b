/* The counters of this database, as kms.counters shows them. */
#ifndef KMS_KEYS_COUNTER_ROWS_H
#define KMS_KEYS_COUNTER_ROWS_H

#include "datatype/timestamp.h"

/* One row.  A string is static, or only valid during the call; or NULL. */
typedef struct KmsCounterRow
{
	const char *name;
	const char *operation;
	const char *status;
	const char *le;
	int64		value;
	TimestampTz since;
} KmsCounterRow;

typedef void (*KmsCounterReceiver) (void *arg, const KmsCounterRow *row);

/*
 * Pass all rows on, of one moment.  There are none if the database has no
 * place in shared memory, which can only be on a standby.
 */
extern void kms_counter_rows_read(KmsCounterReceiver receive, void *arg);

#endif							/* KMS_KEYS_COUNTER_ROWS_H */
