#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/args.h"
#include "api/finish.h"
#include "keys/admit.h"
#include "keys/issue.h"
#include "keys/public.h"
#include "keys/renewal.h"
#include "keys/service.h"
#include "pg/compat.h"

typedef KmsStatus (*IssueFunction) (KmsCall *call, const KmsIssueRequest *request,
									KmsIssued *issued, KmsFault *fault);

static Datum issue(FunctionCallInfo fcinfo, KmsOperation operation,
				   IssueFunction function);
static KmsStatus fetch(FunctionCallInfo fcinfo, KmsCall *call,
					   KmsIssueRequest *request, KmsFault *fault);
static Datum form_issued(FunctionCallInfo fcinfo, const KmsIssued *issued);
static Datum form_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls);

PG_FUNCTION_INFO_V1(kms_api_issue_key);
PG_FUNCTION_INFO_V1(kms_api_rotate_key);
PG_FUNCTION_INFO_V1(kms_api_public_key);
PG_FUNCTION_INFO_V1(kms_api_key_state);
PG_FUNCTION_INFO_V1(kms_api_key_valid);
PG_FUNCTION_INFO_V1(kms_api_rate_limit_status);
PG_FUNCTION_INFO_V1(kms_api_renew_at);

Datum
kms_api_issue_key(PG_FUNCTION_ARGS)
{
	return issue(fcinfo, KMS_OP_ISSUE, kms_issue);
}

Datum
kms_api_rotate_key(PG_FUNCTION_ARGS)
{
	return issue(fcinfo, KMS_OP_ROTATE, kms_issue_rotate);
}

Datum
kms_api_public_key(PG_FUNCTION_ARGS)
{
	KmsKeyIdBuffer key_id;
	char		pem[KMS_KEY_PAIR_MAX_PEM];
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(KMS_OP_ISSUE);
	KmsStatus	status;

	status = kms_args_key_id(fcinfo, 0, key_id, &fault);
	if (status == KMS_OK)
	{
		kms_call_key(call, key_id);
		status = kms_public_pem(call, key_id, pem, sizeof(pem), &fault);
	}
	kms_finish(call, status, &fault);
	PG_RETURN_TEXT_P(cstring_to_text(pem));
}

/* This records no event, because it only reports the state of a key. */
Datum
kms_api_key_state(PG_FUNCTION_ARGS)
{
	KmsKeyIdBuffer key_id;
	const char *state;
	KmsFault	fault = {0};
	KmsStatus	status;

	kms_service_require();
	status = kms_args_key_id(fcinfo, 0, key_id, &fault);
	if (status == KMS_OK)
		status = kms_admit_state(key_id, &state, &fault);
	if (status != KMS_OK)
		kms_fault_raise(&fault);
	PG_RETURN_TEXT_P(cstring_to_text(state));
}

/*
 * Return true if kms_decrypt would use the key now; false if the key does not
 * exist.
 */
Datum
kms_api_key_valid(PG_FUNCTION_ARGS)
{
	KmsKeyIdBuffer key_id;
	KmsFault	fault = {0};

	kms_service_require();
	if (kms_args_key_id(fcinfo, 0, key_id, &fault) != KMS_OK)
		kms_fault_raise(&fault);
	PG_RETURN_BOOL(kms_admit_is_valid(key_id));
}

Datum
kms_api_rate_limit_status(PG_FUNCTION_ARGS)
{
	KmsDeviceIdBuffer device_id;
	KmsRateLimit limit;
	KmsFault	fault = {0};
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	kms_service_require();
	if (kms_args_device_id(fcinfo, 0, device_id, &fault) != KMS_OK)
		kms_fault_raise(&fault);
	kms_issue_rate_limit(device_id, &limit);
	values[0] = Int32GetDatum(limit.used);
	values[1] = Int32GetDatum(limit.allowed);
	values[2] = TimestampTzGetDatum(limit.next_at);
	nulls[2] = limit.next_at == 0;
	return form_row(fcinfo, values, nulls);
}

/* For the view kms.keys; it works without the server part, too. */
Datum
kms_api_renew_at(PG_FUNCTION_ARGS)
{
	char	   *key_id = text_to_cstring(PG_GETARG_TEXT_PP(0));
	TimestampTz created_at = PG_GETARG_TIMESTAMPTZ(1);
	TimestampTz expires_at = PG_GETARG_TIMESTAMPTZ(2);

	if (TIMESTAMP_NOT_FINITE(created_at) || TIMESTAMP_NOT_FINITE(expires_at))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(kms_renewal_at(key_id, created_at, expires_at));
}

static Datum
issue(FunctionCallInfo fcinfo, KmsOperation operation, IssueFunction function)
{
	KmsIssueRequest request = {0};
	KmsIssued	issued;
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(operation);
	KmsStatus	status;

	status = fetch(fcinfo, call, &request, &fault);
	if (status == KMS_OK)
		status = function(call, &request, &issued, &fault);
	kms_finish(call, status, &fault);
	return form_issued(fcinfo, &issued);
}

static KmsStatus
fetch(FunctionCallInfo fcinfo, KmsCall *call, KmsIssueRequest *request,
	  KmsFault *fault)
{
	char	   *device_id = palloc(sizeof(KmsDeviceIdBuffer));
	char	   *app_version;
	char	   *algorithm;
	KmsStatus	status;

	status = kms_args_device_id(fcinfo, 0, device_id, fault);
	if (status != KMS_OK)
		return status;
	request->device_id = device_id;
	kms_call_device(call, device_id);
	status = kms_args_line(fcinfo, 1, "app version", KMS_APP_VERSION_MAX,
						   &app_version, fault);
	if (status != KMS_OK)
		return status;
	request->app_version = app_version;
	if (app_version != NULL)
		kms_call_app_version(call, app_version);
	status = kms_args_line(fcinfo, 2, "algorithm", 32, &algorithm, fault);
	if (status == KMS_OK && algorithm != NULL)
	{
		request->named.algorithm = kms_key_algorithm_by_name(algorithm);
		if (request->named.algorithm == KMS_ALGORITHM_NONE)
			return kms_fault_argument(fault, "unknown algorithm", NULL,
									  "Use RSA-2048, RSA-3072, RSA-4096, EC-P256 or X25519, spelled like that.");
	}
	if (status == KMS_OK)
		status = kms_args_digest(fcinfo, 3, "oaep_hash",
								 &request->named.oaep_hash, fault);
	if (status == KMS_OK)
		status = kms_args_digest(fcinfo, 4, "mgf1_hash",
								 &request->named.mgf1_hash, fault);
	if (status == KMS_OK)
		status = kms_kind_check(&request->named, fault);
	return status;
}

static Datum
form_issued(FunctionCallInfo fcinfo, const KmsIssued *issued)
{
	Datum		values[8];
	bool		nulls[8] = {false};

	values[0] = CStringGetTextDatum(issued->key_id);
	values[1] = CStringGetTextDatum(issued->public_pem);
	values[2] = TimestampTzGetDatum(issued->expires_at);
	values[3] = TimestampTzGetDatum(issued->renew_at);
	values[4] = CStringGetTextDatum(issued->algorithm);
	values[5] = CStringGetTextDatum(issued->oaep_hash);
	values[6] = CStringGetTextDatum(issued->mgf1_hash);
	values[7] = BoolGetDatum(issued->reused);
	return form_row(fcinfo, values, nulls);
}

static Datum
form_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values,
											 nulls));
}
