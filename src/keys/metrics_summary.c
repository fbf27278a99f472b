#include "postgres.h"

#include "access/xlog.h"
#include "lib/stringinfo.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "keys/metrics_summary.h"

#include "pg/fault.h"
#include "shmem/wait.h"
#include "store/summary.h"

#define TOP_FAILURES		10
#define SUMMARY_WAIT_MS		5000

static void wait_for_writer(void);
static void limit_lock_wait(void);
static void write_metrics(StringInfo out, List *totals);
static void write_failure_rates(StringInfo out, List *totals);
static void write_top_failures(StringInfo out, List *totals);
static List *most_failures(List *totals);
static int	by_count(const ListCell *a, const ListCell *b);
static List *by_operation(List *totals);
static bool is_failure(const KmsTotal *total);
static void write_name(StringInfo out, const char *name, const char *value);
static void write_number(StringInfo out, const char *name, double value);

List *
kms_metrics_summary_lines(int hours)
{
	List	   *lines = NIL;
	ListCell   *cell;

	foreach(cell, kms_summary_read(GetCurrentTimestamp() - hours * USECS_PER_HOUR))
	{
		const KmsTotal *total = lfirst(cell);
		const KmsHistogram *durations = &total->metric.durations;
		KmsMetricsLine *line = palloc0(sizeof(KmsMetricsLine));

		line->operation = total->operation;
		line->status = total->status;
		line->reason = total->reason;
		line->count = total->metric.count;
		line->timed = durations->timed > 0;
		line->average = kms_histogram_average(durations);
		line->min = durations->min_ms;
		line->max = durations->max_ms;
		line->p50 = kms_histogram_percentile(durations, 0.50);
		line->p95 = kms_histogram_percentile(durations, 0.95);
		line->p99 = kms_histogram_percentile(durations, 0.99);
		lines = lappend(lines, line);
	}
	return lines;
}

char *
kms_metrics_summary_json(int hours)
{
	TimestampTz since = GetCurrentTimestamp() - hours * USECS_PER_HOUR;
	StringInfoData out;
	List	   *totals;
	int			settings;

	wait_for_writer();
	settings = NewGUCNestLevel();
	limit_lock_wait();
	totals = kms_summary_read(since);
	AtEOXact_GUC(true, settings);

	initStringInfo(&out);
	appendStringInfoString(&out, "{\"metrics\":[");
	write_metrics(&out, by_operation(totals));
	appendStringInfoString(&out, "],\"failureRates\":[");
	write_failure_rates(&out, by_operation(totals));
	appendStringInfoString(&out, "],\"topFailures\":[");
	write_top_failures(&out, totals);
	appendStringInfo(&out, "],\"timeframeHours\":%d}", hours);
	return out.data;
}

static void
wait_for_writer(void)
{
	if (!RecoveryInProgress() && !kms_wait_flush(SUMMARY_WAIT_MS))
		ereport(WARNING,
				(errmsg("the latest events are not in the summary yet: %s",
						kms_wait_obstacle()),
				 errhint("Run kms_check() to see what holds the event writer up."),
				 KMS_HIDE_STATEMENT));
}

/*
 * Limit the wait for a lock on kms.metric, unless the session's own limit is
 * shorter.
 */
static void
limit_lock_wait(void)
{
	char		limit[16];

	if (LockTimeout > 0 && LockTimeout < SUMMARY_WAIT_MS)
		return;
	snprintf(limit, sizeof(limit), "%d", SUMMARY_WAIT_MS);
	(void) set_config_option("lock_timeout", limit, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

static void
write_metrics(StringInfo out, List *totals)
{
	ListCell   *cell;

	foreach(cell, totals)
	{
		KmsTotal   *total = lfirst(cell);
		KmsHistogram *durations = &total->metric.durations;
		bool		timed = durations->timed > 0;

		appendStringInfoString(out, foreach_current_index(cell) > 0 ? ",{" : "{");
		write_name(out, "operation", total->operation);
		appendStringInfoChar(out, ',');
		write_name(out, "status", total->status);
		appendStringInfo(out, ",\"count\":" INT64_FORMAT,
						 total->metric.count);
		write_number(out, "avg_duration", kms_histogram_average(durations));
		write_number(out, "min_duration", timed ? durations->min_ms : -1);
		write_number(out, "max_duration", timed ? durations->max_ms : -1);
		write_number(out, "p50", kms_histogram_percentile(durations, 0.50));
		write_number(out, "p95", kms_histogram_percentile(durations, 0.95));
		write_number(out, "p99", kms_histogram_percentile(durations, 0.99));
		appendStringInfoChar(out, '}');
	}
}

/* Write how many percent of each operation's events are failures. */
static void
write_failure_rates(StringInfo out, List *totals)
{
	const char *operation = NULL;
	ListCell   *cell;

	foreach(cell, totals)
	{
		KmsTotal   *total = lfirst(cell);
		int64		all = 0;
		int64		failed = 0;
		ListCell   *other;

		if (operation != NULL && strcmp(operation, total->operation) == 0)
			continue;
		foreach(other, totals)
		{
			KmsTotal   *one = lfirst(other);

			if (strcmp(one->operation, total->operation) != 0)
				continue;
			all += one->metric.count;
			if (is_failure(one))
				failed += one->metric.count;
		}
		appendStringInfoString(out, operation != NULL ? ",{" : "{");
		operation = total->operation;
		write_name(out, "operation", operation);
		write_number(out, "failure_rate", 100.0 * failed / all);
		appendStringInfoChar(out, '}');
	}
}

static void
write_top_failures(StringInfo out, List *totals)
{
	ListCell   *cell;

	foreach(cell, most_failures(totals))
	{
		KmsTotal   *total = lfirst(cell);

		appendStringInfoString(out, foreach_current_index(cell) > 0 ? ",{" : "{");
		write_name(out, "operation", total->operation);
		appendStringInfoChar(out, ',');
		write_name(out, "reason", total->reason);
		appendStringInfo(out, ",\"count\":" INT64_FORMAT "}",
						 total->metric.count);
	}
}

static List *
most_failures(List *totals)
{
	List	   *failures = NIL;
	ListCell   *cell;

	foreach(cell, totals)
	{
		if (is_failure(lfirst(cell)))
			failures = lappend(failures, lfirst(cell));
	}
	list_sort(failures, by_count);
	return list_truncate(failures, TOP_FAILURES);
}

static int
by_count(const ListCell *a, const ListCell *b)
{
	const KmsTotal *x = lfirst(a);
	const KmsTotal *y = lfirst(b);
	int			order;

	if (x->metric.count != y->metric.count)
		return x->metric.count > y->metric.count ? -1 : 1;
	order = strcmp(x->operation, y->operation);
	return order != 0 ? order : strcmp(x->reason, y->reason);
}

/* Merge the totals that differ only in their reason. */
static List *
by_operation(List *totals)
{
	List	   *merged = NIL;
	KmsTotal   *last = NULL;
	ListCell   *cell;

	foreach(cell, totals)
	{
		KmsTotal   *total = lfirst(cell);

		if (last == NULL || strcmp(last->operation, total->operation) != 0 ||
			strcmp(last->status, total->status) != 0)
		{
			last = palloc(sizeof(KmsTotal));
			*last = *total;
			merged = lappend(merged, last);
		}
		else
			kms_metric_add(&last->metric, &total->metric);
	}
	return merged;
}

static bool
is_failure(const KmsTotal *total)
{
	return strcmp(total->status, "failure") == 0;
}

static void
write_name(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, "\"%s\":", name);
	escape_json(out, value);
}

/* Write three decimals, or null if the value is not known (negative). */
static void
write_number(StringInfo out, const char *name, double value)
{
	if (value < 0)
		appendStringInfo(out, ",\"%s\":null", name);
	else
		appendStringInfo(out, ",\"%s\":%.3f", name, value);
}
