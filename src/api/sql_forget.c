/*
 * kms_forget_device().
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"

#include "api/args.h"
#include "api/finish.h"
#include "keys/call.h"
#include "keys/forget.h"

PG_FUNCTION_INFO_V1(kms_api_forget_device);

/* The event names no device, because the device is being forgotten. */
Datum
kms_api_forget_device(PG_FUNCTION_ARGS)
{
	KmsDeviceIdBuffer device_id;
	KmsForgetResult result;
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(KMS_OP_FORGET);
	KmsStatus	status;
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	status = kms_args_device_id(fcinfo, 0, device_id, &fault);
	if (status == KMS_OK)
		status = kms_forget_device(call, device_id, &result, &fault);
	kms_finish(call, status, &fault);
	values[0] = Int64GetDatum(result.keys);
	values[1] = Int64GetDatum(result.events);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}
