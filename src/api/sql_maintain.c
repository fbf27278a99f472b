/*
 * kms_maintain(): run maintenance, and return a row for each task.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "keys/maintain.h"
#include "keys/service.h"
#include "pg/compat.h"

PG_FUNCTION_INFO_V1(kms_api_maintain);

Datum
kms_api_maintain(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		confirm_purge = !PG_ARGISNULL(0) && PG_GETARG_BOOL(0);

	/* The SQL function of an older version does not have this argument. */
	bool		confirm_clock = PG_NARGS() > 1 && !PG_ARGISNULL(1) &&
	PG_GETARG_BOOL(1);
	KmsTaskResult tasks[KMS_TASK_COUNT];
	int			i;

	kms_service_require();
	PreventCommandDuringRecovery("kms_maintain()");
	PreventCommandIfReadOnly("kms_maintain()");
	InitMaterializedSRF(fcinfo, 0);
	kms_maintain_run_all(confirm_purge, confirm_clock, tasks);
	for (i = 0; i < KMS_TASK_COUNT; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		values[0] = CStringGetTextDatum(tasks[i].task);
		values[1] = Int64GetDatum(tasks[i].done);
		values[2] = Int64GetDatum(tasks[i].skipped);
		values[3] = BoolGetDatum(tasks[i].more);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
