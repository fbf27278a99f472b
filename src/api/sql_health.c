/*
 * The functions that report the state of the service: its checks, its
 * self-test, its status and the progress of long work.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "keys/check.h"
#include "keys/progress_report.h"
#include "keys/service.h"
#include "keys/service_status.h"
#include "pg/compat.h"
#include "pg/fault.h"

PG_FUNCTION_INFO_V1(kms_api_check);
PG_FUNCTION_INFO_V1(kms_api_self_test);
PG_FUNCTION_INFO_V1(kms_api_read_status);
PG_FUNCTION_INFO_V1(kms_api_read_progress);
PG_FUNCTION_INFO_V1(kms_api_version);

Datum
kms_api_check(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	kms_service_require_library();
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, kms_check_run())
	{
		const KmsFinding *finding = lfirst(cell);
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = CStringGetTextDatum(finding->severity);
		values[1] = CStringGetTextDatum(finding->finding);
		values[2] = CStringGetTextDatum(finding->hint);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Return false, with a warning that names the failed test, if any test fails.
 */
Datum
kms_api_self_test(PG_FUNCTION_ARGS)
{
	const char *what = NULL;
	bool		passed;

	kms_service_require();
	passed = kms_check_self_test(&what);
	if (!passed)
		ereport(WARNING,
				(errmsg("self-test failed: %s", what),
				 errhint("Do not trust results of kms on this server; look at its OpenSSL library and at kms_check()."),
				 KMS_HIDE_STATEMENT));
	PG_RETURN_BOOL(passed);
}

Datum
kms_api_read_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	kms_service_require();
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, kms_service_status_read())
	{
		const KmsStatusItem *item = lfirst(cell);
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = CStringGetTextDatum(item->item);
		values[1] = CStringGetTextDatum(item->value);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
kms_api_read_progress(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell   *cell;

	kms_service_require();
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, kms_progress_report_read())
	{
		const KmsProgressLine *line = lfirst(cell);
		Datum		values[7] = {0};
		bool		nulls[7] = {false};

		values[0] = Int32GetDatum(line->pid);
		nulls[1] = line->database == NULL;
		if (line->database != NULL)
			values[1] = CStringGetTextDatum(line->database);
		values[2] = CStringGetTextDatum(line->operation);
		values[3] = CStringGetTextDatum(line->phase);
		values[4] = Int64GetDatum(line->done);
		nulls[5] = !line->has_total;
		values[5] = Int64GetDatum(line->total);
		values[6] = TimestampTzGetDatum(line->started_at);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
kms_api_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(KMS_VERSION));
}
