#include "postgres.h"

#include <math.h>

#include "access/xlog.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "keys/call.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "shmem/wait.h"
#include "store/problem.h"
#include "store/summary.h"

#define MAX_HOURS			8760
#define TOP_FAILURES		10
#define SUMMARY_WAIT_MS		5000
#define PROBLEMS_MAX		PG_INT32_MAX

static void check_hours(int hours);
static void wait_for_writer(void);
static void limit_lock_wait(void);
static List *by_operation(List *totals);
static List *most_failures(List *totals);
static int	by_count(const ListCell *a, const ListCell *b);
static bool is_failure(const KmsTotal *total);
static void write_metrics(StringInfo out, List *totals);
static void write_failure_rates(StringInfo out, List *totals);
static void write_top_failures(StringInfo out, List *totals);
static void write_name(StringInfo out, const char *name, const char *value);
static void write_number(StringInfo out, const char *name, double value);

PG_FUNCTION_INFO_V1(kms_api_metrics_summary);
PG_FUNCTION_INFO_V1(kms_api_read_metrics);
PG_FUNCTION_INFO_V1(kms_api_problematic_keys);
PG_FUNCTION_INFO_V1(kms_api_flush_events);

Datum
kms_api_metrics_summary(PG_FUNCTION_ARGS)
{
	int			hours = PG_ARGISNULL(0) ? 24 : PG_GETARG_INT32(0);
	TimestampTz since;
	StringInfoData out;
	List	   *totals;
	int			settings;

	kms_call_require_service();
	check_hours(hours);
	since = GetCurrentTimestamp() - hours * USECS_PER_HOUR;
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
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(out.data)));
}

/* What the views show; never waits for the writer. */
Datum
kms_api_read_metrics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			hours = PG_GETARG_INT32(0);
	ListCell   *cell;

	kms_call_require_service();
	check_hours(hours);
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, kms_summary_read(GetCurrentTimestamp() - hours * USECS_PER_HOUR))
	{
		KmsTotal   *total = lfirst(cell);
		KmsHistogram *durations = &total->metric.durations;
		Datum		values[10];
		bool		nulls[10] = {false};
		int			i;

		values[0] = CStringGetTextDatum(total->operation);
		values[1] = CStringGetTextDatum(total->status);
		values[2] = CStringGetTextDatum(total->reason);
		nulls[2] = total->reason[0] == '\0';
		values[3] = Int64GetDatum(total->metric.count);
		values[4] = Float8GetDatum(kms_histogram_average(durations));
		values[5] = Float8GetDatum(durations->min_ms);
		values[6] = Float8GetDatum(durations->max_ms);
		values[7] = Float8GetDatum(kms_histogram_percentile(durations, 0.50));
		values[8] = Float8GetDatum(kms_histogram_percentile(durations, 0.95));
		values[9] = Float8GetDatum(kms_histogram_percentile(durations, 0.99));
		for (i = 4; i < 10; i++)
			nulls[i] = durations->timed == 0;
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
kms_api_problematic_keys(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	double		threshold;
	int			min_operations = PG_ARGISNULL(1) ? 5 : PG_GETARG_INT32(1);
	int			hours = PG_ARGISNULL(2) ? 24 : PG_GETARG_INT32(2);
	KmsProblemWindow window;
	ListCell   *cell;

	kms_call_require_service();
	check_hours(hours);
	threshold = PG_ARGISNULL(0) ? 10.0
		: DatumGetFloat8(DirectFunctionCall1(numeric_float8, PG_GETARG_DATUM(0)));
	if (isnan(threshold) || threshold < 0 || threshold > 100)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("failure_threshold_percent must be between 0 and 100"),
				 KMS_HIDE_STATEMENT));
	window.now = GetCurrentTimestamp();
	window.since = window.now - hours * USECS_PER_HOUR;
	window.upto = window.now;
	if (kms_problem_is_unknown(&window))
		ereport(WARNING,
				(errmsg("rates of failure are too high, for successful decrypts are not in the trail"),
				 errhint("Set kms.event_detail = all, and wait for as long as timeframe_hours."),
				 KMS_HIDE_STATEMENT));
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, kms_problem_find(threshold, min_operations, &window, false,
								   PROBLEMS_MAX))
	{
		KmsProblem *problem = lfirst(cell);
		Datum		values[5];
		bool		nulls[5] = {false};

		values[0] = CStringGetTextDatum(problem->key_id);
		values[1] = CStringGetTextDatum(problem->device_id);
		values[2] = Int64GetDatum(problem->operations);
		values[3] = Int64GetDatum(problem->failures);
		values[4] = DirectFunctionCall2(numeric_round,
										DirectFunctionCall1(float8_numeric,
															Float8GetDatum(problem->rate)),
										Int32GetDatum(2));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
kms_api_flush_events(PG_FUNCTION_ARGS)
{
	kms_call_require_service();
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("events are not written to tables on a standby"),
				 errhint("Run it on the primary."),
				 KMS_HIDE_STATEMENT));
	if (!kms_wait_flush(-1))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the event writer of kms cannot write: %s",
						kms_wait_obstacle()),
				 errhint("Run kms_check() to see why."),
				 KMS_HIDE_STATEMENT));
	PG_RETURN_VOID();
}

static void
check_hours(int hours)
{
	if (hours < 1 || hours > MAX_HOURS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeframe_hours must be between 1 and %d", MAX_HOURS),
				 KMS_HIDE_STATEMENT));
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

/* Of kms.metric; a limit of the session's own may be shorter. */
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

/* The same without the reasons. */
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

/* Percent of an operation's events that are failures. */
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

static void
write_name(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, "\"%s\":", name);
	escape_json(out, value);
}

/* Three decimals; null for what is not known (-1). */
static void
write_number(StringInfo out, const char *name, double value)
{
	if (value < 0)
		appendStringInfo(out, ",\"%s\":null", name);
	else
		appendStringInfo(out, ",\"%s\":%.3f", name, value);
}
