/* Reading totals over a window from kms.metric, added up in C. */
#ifndef KMS_STORE_SUMMARY_H
#define KMS_STORE_SUMMARY_H

#include "nodes/pg_list.h"

#include "store/metric.h"

#define KMS_SUMMARY_TEXT 96		/* bytes of an operation, status or reason,
								 * with NUL */

/* All events of one operation, status and reason in the window. */
typedef struct KmsTotal
{
	char		operation[KMS_SUMMARY_TEXT];
	char		status[KMS_SUMMARY_TEXT];
	char		reason[KMS_SUMMARY_TEXT];	/* "" for successes */
	KmsMetric	metric;			/* its texts point to those above */
	struct KmsTotal *follower;	/* total to which the next row was added */
} KmsTotal;

/*
 * Return a list of KmsTotal for all events since "since", ordered by
 * operation, status and reason.  "since" is rounded down to the minute, or to
 * the hour if its minutes have been rolled up.
 */
extern List *kms_summary_read(TimestampTz since);

#endif							/* KMS_STORE_SUMMARY_H */
