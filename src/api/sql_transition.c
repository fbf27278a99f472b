/*
 * The operator's functions that change the state of a key.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/args.h"
#include "api/finish.h"
#include "keys/call.h"
#include "keys/transition.h"
#include "pg/compat.h"

#define DELETION_MIN_DAYS 7
#define DELETION_MAX_DAYS 30

static KmsStatus run(FunctionCallInfo fcinfo, KmsCall *call,
					 KmsStateRequest *request,
					 KmsStateOutcome *outcome, KmsFault *fault);
static Datum change(FunctionCallInfo fcinfo, KmsOperation operation,
					const char *function);
static KmsStatus fetch_delete_at(FunctionCallInfo fcinfo, int n,
								 TimestampTz *delete_at, KmsFault *fault);
static KmsStatus check_confirmation(FunctionCallInfo fcinfo, int n,
									const char *key_id, KmsFault *fault);

PG_FUNCTION_INFO_V1(kms_api_deprecate_key);
PG_FUNCTION_INFO_V1(kms_api_disable_key);
PG_FUNCTION_INFO_V1(kms_api_enable_key);
PG_FUNCTION_INFO_V1(kms_api_revoke_key);
PG_FUNCTION_INFO_V1(kms_api_schedule_key_deletion);
PG_FUNCTION_INFO_V1(kms_api_cancel_key_deletion);
PG_FUNCTION_INFO_V1(kms_api_destroy_key);

Datum
kms_api_deprecate_key(PG_FUNCTION_ARGS)
{
	return change(fcinfo, KMS_OP_DEPRECATE, "kms_deprecate_key()");
}

Datum
kms_api_disable_key(PG_FUNCTION_ARGS)
{
	return change(fcinfo, KMS_OP_DISABLE, "kms_disable_key()");
}

Datum
kms_api_enable_key(PG_FUNCTION_ARGS)
{
	return change(fcinfo, KMS_OP_ENABLE, "kms_enable_key()");
}

Datum
kms_api_revoke_key(PG_FUNCTION_ARGS)
{
	return change(fcinfo, KMS_OP_REVOKE, "kms_revoke_key()");
}

Datum
kms_api_cancel_key_deletion(PG_FUNCTION_ARGS)
{
	return change(fcinfo, KMS_OP_CANCEL_DELETION, "kms_cancel_key_deletion()");
}

Datum
kms_api_schedule_key_deletion(PG_FUNCTION_ARGS)
{
	KmsStateRequest request = {0};
	KmsFault	fault = {0};
	KmsStateOutcome outcome;
	KmsCall    *call;
	KmsStatus	status;

	request.function = "kms_schedule_key_deletion()";
	request.operation = KMS_OP_SCHEDULE_DELETION;
	call = kms_call_begin(request.operation);
	status = run(fcinfo, call, &request, &outcome, &fault);
	kms_finish(call, status, &fault);
	PG_RETURN_TIMESTAMPTZ(outcome.delete_at);
}

Datum
kms_api_destroy_key(PG_FUNCTION_ARGS)
{
	KmsKeyIdBuffer key_id;
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(KMS_OP_DESTROY);
	KmsStatus	status;

	status = kms_args_key_id(fcinfo, 0, key_id, &fault);
	if (status == KMS_OK)
	{
		kms_call_key(call, key_id);
		status = check_confirmation(fcinfo, 1, key_id, &fault);
	}
	if (status == KMS_OK)
		status = kms_transition_destroy(call, key_id, &fault);
	kms_finish(call, status, &fault);
	PG_RETURN_TEXT_P(cstring_to_text("destroyed"));
}

/* Change the state of a key, and return the new state. */
static Datum
change(FunctionCallInfo fcinfo, KmsOperation operation, const char *function)
{
	KmsStateRequest request = {0};
	KmsFault	fault = {0};
	KmsStateOutcome outcome;
	KmsCall    *call = kms_call_begin(operation);
	KmsStatus	status;

	request.function = function;
	request.operation = operation;
	status = run(fcinfo, call, &request, &outcome, &fault);
	kms_finish(call, status, &fault);
	PG_RETURN_TEXT_P(cstring_to_text(outcome.state));
}

static KmsStatus
run(FunctionCallInfo fcinfo, KmsCall *call, KmsStateRequest *request,
	KmsStateOutcome *outcome, KmsFault *fault)
{
	char	   *key_id = palloc(sizeof(KmsKeyIdBuffer));
	char	   *reason = NULL;
	KmsStatus	status;

	status = kms_args_key_id(fcinfo, 0, key_id, fault);
	if (status != KMS_OK)
		return status;
	request->key_id = key_id;
	kms_call_key(call, key_id);
	if (request->operation == KMS_OP_REVOKE)
	{
		status = kms_args_reason(fcinfo, 1, &reason, fault);
		if (status != KMS_OK)
			return status;
		request->reason = reason;
		kms_call_remark(call, reason);
	}
	if (request->operation == KMS_OP_SCHEDULE_DELETION)
		status = fetch_delete_at(fcinfo, 1, &request->delete_at, fault);
	if (status != KMS_OK)
		return status;
	return kms_transition_change(call, request, outcome, fault);
}

/*
 * Fetch the time of deletion.  A month has 30 days, as in PostgreSQL's
 * comparison of intervals.
 */
static KmsStatus
fetch_delete_at(FunctionCallInfo fcinfo, int n, TimestampTz *delete_at,
				KmsFault *fault)
{
	Interval   *after;
	double		days;

	if (PG_ARGISNULL(n))
		return kms_fault_null(fault, "interval must not be null");
	after = PG_GETARG_INTERVAL_P(n);
	days = after->month * (double) DAYS_PER_MONTH + after->day +
		after->time / (double) USECS_PER_DAY;
	if (!(days >= DELETION_MIN_DAYS && days <= DELETION_MAX_DAYS))
		return kms_fault_argument(fault, "a key is deleted after 7 to 30 days",
								  NULL,
								  "Until then kms_cancel_key_deletion() can cancel it. kms_destroy_key() deletes at once.");
	*delete_at = GetCurrentTimestamp() +
		(TimestampTz) (after->month * DAYS_PER_MONTH + after->day) * USECS_PER_DAY +
		after->time;
	return kms_fault(fault, KMS_OK);
}

static KmsStatus
check_confirmation(FunctionCallInfo fcinfo, int n, const char *key_id,
				   KmsFault *fault)
{
	if (PG_ARGISNULL(n))
		return kms_fault_null(fault, "confirmation must not be null");
	if (kms_args_size(fcinfo, n) == strlen(key_id) &&
		memcmp(VARDATA_ANY(PG_GETARG_TEXT_PP(n)), key_id, strlen(key_id)) == 0)
		return kms_fault(fault, KMS_OK);
	return kms_fault_argument(fault, "confirmation is not the key id", NULL,
							  "A destroyed key is lost for ever, with all data that was encrypted for it. To confirm, repeat the key id.");
}
