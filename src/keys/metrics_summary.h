/*
 * Counts and durations of calls over some hours, from kms.metric.
 */
#ifndef KMS_KEYS_METRICS_SUMMARY_H
#define KMS_KEYS_METRICS_SUMMARY_H

#include "nodes/pg_list.h"

/* All calls of one operation that ended alike. */
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
 * A list of KmsMetricsLine, of the hours until now, in order of operation,
 * status and reason.  Never waits for the writer.
 */
extern List *kms_metrics_summary_lines(int hours);

/*
 * The answer of kms_metrics_summary() as JSON, palloc'd.  Waits at most 5 s
 * for the writer, and warns if it has not written all by then; waits for a
 * lock no longer than that.
 */
extern char *kms_metrics_summary_json(int hours);

#endif							/* KMS_KEYS_METRICS_SUMMARY_H */
