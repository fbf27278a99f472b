/*
 * kms_audit_checkpoints(): the signatures of the trail, for verification
 * outside the database.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "keys/service.h"
#include "keys/sign.h"
#include "pg/compat.h"

static void put(const KmsSigned *checkpoint, void *arg);

PG_FUNCTION_INFO_V1(kms_api_audit_checkpoints);

Datum
kms_api_audit_checkpoints(PG_FUNCTION_ARGS)
{
	kms_service_require();
	InitMaterializedSRF(fcinfo, 0);
	kms_sign_visit(PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0), put,
				   fcinfo->resultinfo);
	return (Datum) 0;
}

static void
put(const KmsSigned *checkpoint, void *arg)
{
	ReturnSetInfo *result = arg;
	Datum		values[6];
	bool		nulls[6] = {false};

	values[0] = Int64GetDatum(checkpoint->ticket);
	values[1] = CStringGetTextDatum(checkpoint->kind);
	values[2] = TimestampTzGetDatum(checkpoint->signed_at);
	values[3] = CStringGetTextDatum(checkpoint->message);
	values[4] = PointerGetDatum(checkpoint->signature);
	nulls[5] = checkpoint->public_key == NULL;
	if (!nulls[5])
		values[5] = CStringGetTextDatum(checkpoint->public_key);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
