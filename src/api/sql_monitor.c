/*
 * The functions that machines read: counters and gauges.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "keys/counter_rows.h"
#include "keys/gauges.h"
#include "keys/service.h"
#include "pg/compat.h"

PG_FUNCTION_INFO_V1(kms_api_read_counters);
PG_FUNCTION_INFO_V1(kms_api_read_gauges);

static void put_counter(void *arg, const KmsCounterRow *row);
static Datum text_or_null(const char *text, bool *isnull);

Datum
kms_api_read_counters(PG_FUNCTION_ARGS)
{
	kms_service_require();
	InitMaterializedSRF(fcinfo, 0);
	kms_counter_rows_read(put_counter, fcinfo->resultinfo);
	return (Datum) 0;
}

Datum
kms_api_read_gauges(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	KmsGauges	gauges;
	int			i;

	kms_service_require();
	InitMaterializedSRF(fcinfo, 0);
	kms_gauges_read(&gauges);
	for (i = 0; i < gauges.count; i++)
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = CStringGetTextDatum(gauges.gauge[i].name);
		values[1] = Float8GetDatum(gauges.gauge[i].value);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static void
put_counter(void *arg, const KmsCounterRow *row)
{
	ReturnSetInfo *result = arg;
	Datum		values[6];
	bool		nulls[6] = {false};

	values[0] = text_or_null(row->name, &nulls[0]);
	values[1] = text_or_null(row->operation, &nulls[1]);
	values[2] = text_or_null(row->status, &nulls[2]);
	values[3] = text_or_null(row->le, &nulls[3]);
	values[4] = Int64GetDatum(row->value);
	values[5] = TimestampTzGetDatum(row->since);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	return text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}
