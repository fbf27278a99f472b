/*
 * The functions that summarize the recorded events.
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "keys/flush.h"
#include "keys/metrics_summary.h"
#include "keys/problematic.h"
#include "keys/service.h"
#include "pg/compat.h"
#include "pg/fault.h"

#define MAX_HOURS			8760

static void check_hours(int hours);

PG_FUNCTION_INFO_V1(kms_api_metrics_summary);
PG_FUNCTION_INFO_V1(kms_api_read_metrics);
PG_FUNCTION_INFO_V1(kms_api_problematic_keys);
PG_FUNCTION_INFO_V1(kms_api_flush_events);

Datum
kms_api_metrics_summary(PG_FUNCTION_ARGS)
{
	int			hours = PG_ARGISNULL(0) ? 24 : PG_GETARG_INT32(0);
	char	   *json;

	kms_service_require();
	check_hours(hours);
	json = kms_metrics_summary_json(hours);
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}

/* The source of the views.  Never waits for the writer. */
Datum
kms_api_read_metrics(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int			hours = PG_GETARG_INT32(0);
	ListCell   *cell;

	kms_service_require();
	check_hours(hours);
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, kms_metrics_summary_lines(hours))
	{
		const KmsMetricsLine *line = lfirst(cell);
		Datum		values[10];
		bool		nulls[10] = {false};
		int			i;

		values[0] = CStringGetTextDatum(line->operation);
		values[1] = CStringGetTextDatum(line->status);
		values[2] = CStringGetTextDatum(line->reason);
		nulls[2] = line->reason[0] == '\0';
		values[3] = Int64GetDatum(line->count);
		values[4] = Float8GetDatum(line->average);
		values[5] = Float8GetDatum(line->min);
		values[6] = Float8GetDatum(line->max);
		values[7] = Float8GetDatum(line->p50);
		values[8] = Float8GetDatum(line->p95);
		values[9] = Float8GetDatum(line->p99);
		for (i = 4; i < 10; i++)
			nulls[i] = !line->timed;
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
	ListCell   *cell;

	kms_service_require();
	check_hours(hours);
	threshold = PG_ARGISNULL(0) ? 10.0
		: DatumGetFloat8(DirectFunctionCall1(numeric_float8, PG_GETARG_DATUM(0)));
	if (isnan(threshold) || threshold < 0 || threshold > 100)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("failure_threshold_percent must be between 0 and 100"),
				 KMS_HIDE_STATEMENT));
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, kms_problematic_find(threshold, min_operations, hours))
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
	kms_service_require();
	kms_flush_events();
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
