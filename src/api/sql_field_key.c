/*
 * The custodian's functions, which change field keys.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "api/args.h"
#include "api/finish.h"
#include "keys/field_destroy.h"
#include "keys/field_key.h"
#include "keys/field_state.h"
#include "pg/compat.h"

/* Arguments. */
enum
{
	FIELD_KEY, FIELD_SECOND, FIELD_CONFIRM
};

typedef KmsStatus (*Change) (KmsCall *call, const char *name, int version,
							 KmsFault *fault);

static Datum change(FunctionCallInfo fcinfo, KmsOperation operation,
					const char *function, Change run, const char *state);
static void refuse_here(const char *function);
static KmsStatus fetch_rotate_after(FunctionCallInfo fcinfo,
									Interval **after, KmsFault *fault);
static KmsStatus fetch_version(FunctionCallInfo fcinfo, int *version,
							   KmsFault *fault);
static KmsStatus check_confirmation(FunctionCallInfo fcinfo, const char *name,
									int version, KmsFault *fault);

PG_FUNCTION_INFO_V1(kms_api_create_field_key);
PG_FUNCTION_INFO_V1(kms_api_rotate_field_key);
PG_FUNCTION_INFO_V1(kms_api_disable_field_key);
PG_FUNCTION_INFO_V1(kms_api_enable_field_key);
PG_FUNCTION_INFO_V1(kms_api_destroy_field_key);

Datum
kms_api_create_field_key(PG_FUNCTION_ARGS)
{
	KmsFieldNameBuffer name;
	KmsFault	fault = {0};
	Interval   *after = NULL;
	KmsCall    *call = kms_call_begin(KMS_OP_CREATE_FIELD_KEY);
	KmsStatus	status;

	refuse_here("kms_create_field_key()");
	status = kms_args_field_name(fcinfo, FIELD_KEY, name, &fault);
	if (status == KMS_FIELD_KEY_NOT_FOUND)
		status = kms_fault_argument(&fault, "malformed name of a field key",
									"The name of a field has 1 to 55 characters out of a-z, 0-9, _ and -. A key under a field is the field, a dot and 1 to 64 of the same.",
									NULL);
	if (status == KMS_OK)
		status = fetch_rotate_after(fcinfo, &after, &fault);
	if (status == KMS_OK)
		status = kms_field_key_create(call, name, after, &fault);
	kms_finish(call, status, &fault);
	PG_RETURN_INT32(1);
}

Datum
kms_api_rotate_field_key(PG_FUNCTION_ARGS)
{
	KmsFieldNameBuffer name;
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(KMS_OP_ROTATE_FIELD_KEY);
	int			version = 0;
	KmsStatus	status;

	refuse_here("kms_rotate_field_key()");
	status = kms_args_field_name(fcinfo, FIELD_KEY, name, &fault);
	if (status == KMS_OK)
		status = kms_field_key_rotate(call, name, &version, &fault);
	kms_finish(call, status, &fault);
	PG_RETURN_INT32(version);
}

Datum
kms_api_disable_field_key(PG_FUNCTION_ARGS)
{
	return change(fcinfo, KMS_OP_DISABLE_FIELD_KEY, "kms_disable_field_key()",
				  kms_field_state_disable, "disabled");
}

Datum
kms_api_enable_field_key(PG_FUNCTION_ARGS)
{
	return change(fcinfo, KMS_OP_ENABLE_FIELD_KEY, "kms_enable_field_key()",
				  kms_field_state_enable, "enabled");
}

Datum
kms_api_destroy_field_key(PG_FUNCTION_ARGS)
{
	return change(fcinfo, KMS_OP_DESTROY_FIELD_KEY, "kms_destroy_field_key()",
				  kms_field_destroy, "destroyed");
}

/* Change the state, and return the new one. */
static Datum
change(FunctionCallInfo fcinfo, KmsOperation operation, const char *function,
	   Change run, const char *state)
{
	KmsFieldNameBuffer name;
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(operation);
	int			version = KMS_FIELD_WHOLE;
	KmsStatus	status;

	refuse_here(function);
	status = kms_args_field_name(fcinfo, FIELD_KEY, name, &fault);
	if (status == KMS_OK)
		status = fetch_version(fcinfo, &version, &fault);
	if (status == KMS_OK && operation == KMS_OP_DESTROY_FIELD_KEY)
		status = check_confirmation(fcinfo, name, version, &fault);
	if (status == KMS_OK)
		status = run(call, name, version, &fault);
	kms_finish(call, status, &fault);
	PG_RETURN_TEXT_P(cstring_to_text(state));
}

static void
refuse_here(const char *function)
{
	PreventCommandDuringRecovery(function);
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
}

static KmsStatus
fetch_rotate_after(FunctionCallInfo fcinfo, Interval **after, KmsFault *fault)
{
	if (PG_ARGISNULL(FIELD_SECOND))
		return kms_fault(fault, KMS_OK);
	*after = PG_GETARG_INTERVAL_P(FIELD_SECOND);
	if ((*after)->month >= 0 && (*after)->day >= 0 && (*after)->time >= 0 &&
		((*after)->month > 0 || (*after)->day > 0 ||
		 (*after)->time >= USECS_PER_SEC) &&
		(*after)->month <= 12 * 100 && (*after)->day <= 36525)
		return kms_fault(fault, KMS_OK);
	return kms_fault_argument(fault, "invalid rotate_after",
							  "The interval must be from 1 second to 100 years.", NULL);
}

/* Fetch a version.  NULL is the whole key. */
static KmsStatus
fetch_version(FunctionCallInfo fcinfo, int *version, KmsFault *fault)
{
	if (PG_ARGISNULL(FIELD_SECOND))
		return kms_fault(fault, KMS_OK);
	*version = PG_GETARG_INT32(FIELD_SECOND);
	if (*version >= 1 && *version <= KMS_FIELD_VERSION_MAX)
		return kms_fault(fault, KMS_OK);
	return kms_fault_argument(fault, "invalid version of a field key",
							  "Versions are numbered from 1 to 65535.", NULL);
}

static KmsStatus
check_confirmation(FunctionCallInfo fcinfo, const char *name, int version,
				   KmsFault *fault)
{
	char	   *expected = version == KMS_FIELD_WHOLE ?
	psprintf("%s/all", name) : psprintf("%s/%d", name, version);

	if (PG_ARGISNULL(FIELD_CONFIRM))
		return kms_fault_null(fault, "confirmation must not be null");
	if (kms_args_size(fcinfo, FIELD_CONFIRM) == strlen(expected) &&
		strcmp(text_to_cstring(PG_GETARG_TEXT_PP(FIELD_CONFIRM)),
			   expected) == 0)
		return kms_fault(fault, KMS_OK);
	return kms_fault_argument(fault, "confirmation does not name what is destroyed",
							  NULL,
							  "Data that were encrypted with a destroyed key are lost for ever. To confirm, pass the name, a slash and the version, or \"all\".");
}
