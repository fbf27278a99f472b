/*
 * Counts and durations of calls over some hours, from kms.metric.
 */
#ifndef KMS_KEYS_METRICS_SUMMARY_H
#define KMS_KEYS_METRICS_SUMMARY_H

#include "nodes/pg_list.h"

/* All calls of one operation with the same outcome. */
typedef struct KmsMetricsLine
{
	const char *operation;
	const char *status;
	const char *reason;			/* "" for successes */
	int64		count;
	bool		timed;			/* the durations, in ms, are known */
	double		average;
	double		min;
	double		max;
	double		p50;
	double		p95;
	double		p99;
} KmsMetricsLine;

/*
 * Return a list of KmsMetricsLine for the last "hours" hours, ordered by
 * operation, status and reason.  Never waits for the writer.
 */
extern List *kms_metrics_summary_lines(int hours);

/*
 * Return the answer of kms_metrics_summary() as JSON, palloc'd.  Waits at most
 * 5 s for the writer, and warns if it has not written all events by then.
 * Waits at most 5 s for a lock.
 */
extern char *kms_metrics_summary_json(int hours);

#endif							/* KMS_KEYS_METRICS_SUMMARY_H */
