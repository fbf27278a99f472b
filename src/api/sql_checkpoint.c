/*
 * kms_audit_checkpoints(): the signatures of the trail, to be verified outside
 * the database.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "keys/service.h"
#include "keys/sign.h"
#include "pg/compat.h"
#include "pg/encoding.h"

static void put(ReturnSetInfo *result, const KmsCheckpoint *checkpoint);

PG_FUNCTION_INFO_V1(kms_api_audit_checkpoints);

Datum
kms_api_audit_checkpoints(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		since = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0);
	MemoryContext scratch;
	MemoryContext old;
	ListCell   *cell;

	kms_service_require();
	InitMaterializedSRF(fcinfo, 0);
	scratch = AllocSetContextCreate(CurrentMemoryContext, "kms checkpoints",
									ALLOCSET_DEFAULT_SIZES);
	foreach(cell, kms_checkpoint_table_after(since))
	{
		CHECK_FOR_INTERRUPTS();
		old = MemoryContextSwitchTo(scratch);
		put(result, lfirst(cell));
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
	}
	return (Datum) 0;
}

static void
put(ReturnSetInfo *result, const KmsCheckpoint *checkpoint)
{
	Datum		values[6];
	bool		nulls[6] = {false};
	const char *pem = kms_audit_key_pem(checkpoint->signing_key_id);

	values[0] = Int64GetDatum(checkpoint->ticket);
	values[1] = CStringGetTextDatum(kms_checkpoint_table_kind_name(checkpoint->kind));
	values[2] = TimestampTzGetDatum(checkpoint->signed_at);
	values[3] = CStringGetTextDatum(kms_sign_message(checkpoint));
	values[4] = PointerGetDatum(kms_encoding_encode_base64(checkpoint->signature,
														   KMS_SIGNATURE_SIZE));
	nulls[5] = pem == NULL;
	if (pem != NULL)
		values[5] = CStringGetTextDatum(pem);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
