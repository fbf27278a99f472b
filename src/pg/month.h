/*
 * Calendar months (UTC), which label the epochs of the master key: "2026-11".
 */
#ifndef KMS_PG_MONTH_H
#define KMS_PG_MONTH_H

#include "datatype/timestamp.h"

#define KMS_MONTH_SIZE 8		/* bytes with the NUL */

/* Write the month of a time. */
extern void kms_month_of(TimestampTz at, char month[KMS_MONTH_SIZE]);

/* Return the end of the month of a time. */
extern TimestampTz kms_month_end(TimestampTz at);

/* Return true if a label is the name of a month. */
extern bool kms_month_is(const char *label);

#endif							/* KMS_PG_MONTH_H */
