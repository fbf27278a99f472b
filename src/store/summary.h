/*
 * Reading kms.metric back: totals over a window, added up in C.
 */
#ifndef KMS_STORE_SUMMARY_H
#define KMS_STORE_SUMMARY_H

#include "nodes/pg_list.h"

#include "store/metric.h"

#define KMS_SUMMARY_TEXT 96		/* bytes of an operation, status or reason */

/* All events of one operation, status and reason in the window. */
typedef struct KmsTotal
{
	char		operation[KMS_SUMMARY_TEXT];
	char		status[KMS_SUMMARY_TEXT];
	char		reason[KMS_SUMMARY_TEXT];	/* "" for successes */
	KmsMetric	metric;			/* its text members point to the above */
	struct KmsTotal *follower;	/* the one that the next row went to */
} KmsTotal;

/*
 * A list of KmsTotal for everything since "since", which is rounded down to
 * the minute (to the hour where minutes have been rolled up), in order of operation, status, reason.
 */
extern List *kms_summary_read(TimestampTz since);

#endif							/* KMS_STORE_SUMMARY_H */
