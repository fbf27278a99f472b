/*
 * The operator's functions for master keys.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "keys/master_key_status.h"
#include "keys/rewrap.h"
#include "keys/service.h"
#include "pg/compat.h"
#include "pg/fault.h"

static void put(ReturnSetInfo *result, const KmsMasterKeyLine *line);

PG_FUNCTION_INFO_V1(kms_api_master_key_status);
PG_FUNCTION_INFO_V1(kms_api_rewrap_keys);

Datum
kms_api_master_key_status(PG_FUNCTION_ARGS)
{
	ListCell   *cell;

	kms_service_require();
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, kms_master_key_status_read())
		put((ReturnSetInfo *) fcinfo->resultinfo, lfirst(cell));
	return (Datum) 0;
}

static void
put(ReturnSetInfo *result, const KmsMasterKeyLine *line)
{
	char		hex[2 * KMS_MASTER_KEY_ID_SIZE + 1];
	Datum		values[7] = {0};
	bool		nulls[7] = {false};

	nulls[0] = !line->has_id;
	if (line->has_id)
	{
		kms_master_key_id_text(line->id, hex);
		values[0] = CStringGetTextDatum(hex);
	}
	nulls[1] = line->label[0] == '\0';
	values[1] = CStringGetTextDatum(line->label);
	values[2] = CStringGetTextDatum(line->status);
	values[3] = Int64GetDatum(line->keys);
	values[4] = Int64GetDatum(line->peppers);
	values[5] = Int64GetDatum(line->field_keys);
	nulls[6] = line->detail == NULL;
	if (line->detail != NULL)
		values[6] = CStringGetTextDatum(line->detail);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
kms_api_rewrap_keys(PG_FUNCTION_ARGS)
{
	int			batch = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0);
	KmsFault	fault = {0};
	KmsRewrap	rewrapped;

	kms_service_require();
	PreventCommandDuringRecovery("kms_rewrap_keys()");
	PreventCommandIfReadOnly("kms_rewrap_keys()");
	if (batch < 1 || batch > KMS_REWRAP_MAX)
	{
		kms_fault_argument(&fault,
						   psprintf("batch_size must be between 1 and %d",
									KMS_REWRAP_MAX), NULL, NULL);
		kms_fault_raise(&fault);
	}
	if (kms_rewrap_on_request(batch, &rewrapped, &fault) != KMS_OK)
		kms_fault_raise(&fault);
	PG_RETURN_INT64(rewrapped.done);
}
