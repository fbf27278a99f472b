/*
 * Values of fields: encrypt, decrypt, refresh, and questions about a value.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "api/args.h"
#include "api/finish.h"
#include "keys/field.h"
#include "keys/service.h"
#include "pg/client.h"
#include "pg/settings.h"

/* Arguments. */
enum
{
	ENCRYPT_KEY, ENCRYPT_PLAINTEXT, ENCRYPT_CONTEXT
};
enum
{
	DECRYPT_VALUE, DECRYPT_CONTEXT, DECRYPT_KEY
};
enum
{
	REFRESH_VALUE, REFRESH_CONTEXT, REFRESH_NEW_CONTEXT, REFRESH_NEW_KEY
};

static Datum encrypt(FunctionCallInfo fcinfo, bool is_text);
static KmsStatus fetch_plaintext(FunctionCallInfo fcinfo, bool is_text,
								 KmsFieldData *plain, unsigned char **copy,
								 KmsFault *fault);
static Datum decrypt(FunctionCallInfo fcinfo, bool is_text,
					 KmsStatusTest is_answer);
static bool is_tried(KmsStatus status);
static KmsStatus fetch_decrypt(FunctionCallInfo fcinfo, char *name,
							   KmsFieldData *context, KmsFault *fault);
static KmsStatus fetch_refresh(FunctionCallInfo fcinfo, char *name,
							   KmsFieldData *context,
							   KmsFieldData *new_context, KmsFault *fault);

PG_FUNCTION_INFO_V1(kms_api_encrypt_field);
PG_FUNCTION_INFO_V1(kms_api_encrypt_field_bytea);
PG_FUNCTION_INFO_V1(kms_api_decrypt_field);
PG_FUNCTION_INFO_V1(kms_api_decrypt_field_bytea);
PG_FUNCTION_INFO_V1(kms_api_try_decrypt_field);
PG_FUNCTION_INFO_V1(kms_api_try_decrypt_field_bytea);
PG_FUNCTION_INFO_V1(kms_api_refresh_field);
PG_FUNCTION_INFO_V1(kms_api_field_is_current);
PG_FUNCTION_INFO_V1(kms_api_field_version);
PG_FUNCTION_INFO_V1(kms_api_field_key);

Datum
kms_api_encrypt_field(PG_FUNCTION_ARGS)
{
	return encrypt(fcinfo, true);
}

Datum
kms_api_encrypt_field_bytea(PG_FUNCTION_ARGS)
{
	return encrypt(fcinfo, false);
}

Datum
kms_api_decrypt_field(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, true, NULL);
}

Datum
kms_api_decrypt_field_bytea(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, false, NULL);
}

Datum
kms_api_try_decrypt_field(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, true, is_tried);
}

Datum
kms_api_try_decrypt_field_bytea(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, false, is_tried);
}

Datum
kms_api_refresh_field(PG_FUNCTION_ARGS)
{
	KmsFieldNameBuffer name;
	KmsFieldData context;
	KmsFieldData new_context;
	KmsFault	fault = {0};
	KmsFieldCall call;
	bytea	   *result = NULL;
	KmsStatus	status;

	if (PG_ARGISNULL(REFRESH_VALUE))
		PG_RETURN_NULL();
	kms_field_call_begin(&call, KMS_OP_REFRESH_FIELD, KMS_RIGHT_REFRESH);
	status = fetch_refresh(fcinfo, name, &context, &new_context, &fault);
	if (status == KMS_OK)
		status = kms_field_refresh(&call, PG_GETARG_BYTEA_PP(REFRESH_VALUE),
								   &context,
								   PG_ARGISNULL(REFRESH_NEW_CONTEXT) ? NULL : &new_context,
								   PG_ARGISNULL(REFRESH_NEW_KEY) ? NULL : name,
								   &result, &fault);
	(void) kms_finish_field(&call, status, &fault, NULL, NULL);
	PG_RETURN_BYTEA_P(result);
}

Datum
kms_api_field_is_current(PG_FUNCTION_ARGS)
{
	KmsFault	fault = {0};
	bool		current;

	kms_service_require();
	if (kms_field_is_current(PG_GETARG_BYTEA_PP(0), &current,
							 &fault) != KMS_OK)
		kms_fault_raise(&fault);
	PG_RETURN_BOOL(current);
}

Datum
kms_api_field_version(PG_FUNCTION_ARGS)
{
	KmsFault	fault = {0};
	KmsFieldHead head;

	if (kms_field_head(PG_GETARG_BYTEA_PP(0), &head, &fault) != KMS_OK)
		kms_fault_raise(&fault);
	PG_RETURN_INT32(head.version);
}

Datum
kms_api_field_key(PG_FUNCTION_ARGS)
{
	KmsFault	fault = {0};
	const char *name;

	kms_service_require();
	if (kms_field_key_of(PG_GETARG_BYTEA_PP(0), &name, &fault) != KMS_OK)
		kms_fault_raise(&fault);
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

static Datum
encrypt(FunctionCallInfo fcinfo, bool is_text)
{
	KmsFieldNameBuffer name;
	KmsFieldData plain;
	KmsFieldData context;
	KmsFault	fault = {0};
	KmsFieldCall call;
	unsigned char *copy = NULL;
	bytea	   *value = NULL;
	KmsStatus	status;

	if (PG_ARGISNULL(ENCRYPT_PLAINTEXT))
		PG_RETURN_NULL();
	kms_field_call_begin(&call, KMS_OP_ENCRYPT_FIELD, KMS_RIGHT_ENCRYPT);
	status = kms_args_field_name(fcinfo, ENCRYPT_KEY, name, &fault);
	if (status == KMS_OK)
		status = kms_args_context(fcinfo, ENCRYPT_CONTEXT, &context, &fault);
	if (status == KMS_OK)
		status = fetch_plaintext(fcinfo, is_text, &plain, &copy, &fault);
	if (status == KMS_OK)
		status = kms_field_encrypt(&call, name, &plain, &context, &value,
								   &fault);
	if (copy != NULL)
		explicit_bzero(copy, plain.len);
	(void) kms_finish_field(&call, status, &fault, NULL, NULL);
	PG_RETURN_BYTEA_P(value);
}

/*
 * Fetch the plaintext as UTF-8.  *copy is a copy of it that must be wiped, or
 * NULL.
 */
static KmsStatus
fetch_plaintext(FunctionCallInfo fcinfo, bool is_text, KmsFieldData *plain,
				unsigned char **copy, KmsFault *fault)
{
	struct varlena *value;
	KmsStatus	status;

	status = kms_field_check_size(kms_args_size(fcinfo, ENCRYPT_PLAINTEXT), fault);
	if (status != KMS_OK)
		return status;
	value = PG_GETARG_VARLENA_PP(ENCRYPT_PLAINTEXT);
	plain->data = (const unsigned char *) VARDATA_ANY(value);
	plain->len = VARSIZE_ANY_EXHDR(value);
	if (is_text)
		status = kms_field_to_utf8("plaintext", plain, copy, fault);
	return status;
}

static Datum
decrypt(FunctionCallInfo fcinfo, bool is_text, KmsStatusTest is_answer)
{
	KmsFieldNameBuffer name;
	KmsFieldData context;
	KmsFault	fault = {0};
	KmsFieldCall call;
	struct varlena *result = NULL;
	KmsStatus	status;

	if (PG_ARGISNULL(DECRYPT_VALUE))
		PG_RETURN_NULL();
	kms_field_call_begin(&call, KMS_OP_DECRYPT_FIELD, KMS_RIGHT_DECRYPT);
	status = fetch_decrypt(fcinfo, name, &context, &fault);
	if (status == KMS_OK)
		status = kms_field_decrypt(&call, PG_GETARG_BYTEA_PP(DECRYPT_VALUE),
								   &context,
								   PG_ARGISNULL(DECRYPT_KEY) ? NULL : name,
								   is_text, &result, &fault);
	if (kms_finish_field(&call, status, &fault, is_answer, result))
		PG_RETURN_POINTER(result);
	PG_RETURN_NULL();
}

/* A value over the limit is not at fault; the setting is. */
static bool
is_tried(KmsStatus status)
{
	return status != KMS_TOO_LARGE && kms_fault_is_tried(status);
}

static KmsStatus
fetch_decrypt(FunctionCallInfo fcinfo, char *name, KmsFieldData *context,
			  KmsFault *fault)
{
	Size		size = kms_args_size(fcinfo, DECRYPT_VALUE);
	KmsStatus	status;

	if (kms_require_tls && kms_client_in_clear())
		return kms_fault(fault, KMS_NO_TLS);
	status = kms_args_context(fcinfo, DECRYPT_CONTEXT, context, fault);
	if (status == KMS_OK && !PG_ARGISNULL(DECRYPT_KEY))
		status = kms_args_field_name(fcinfo, DECRYPT_KEY, name, fault);

	/* the name is the caller's fault, and not that of the value */
	if (status == KMS_FIELD_KEY_NOT_FOUND)
		return kms_fault_argument(fault, "malformed name of a field key", NULL,
								  NULL);
	if (status == KMS_OK && size > KMS_FIELD_VALUE_OVERHEAD)
		status = kms_field_check_size(size - KMS_FIELD_VALUE_OVERHEAD, fault);
	return status;
}

static KmsStatus
fetch_refresh(FunctionCallInfo fcinfo, char *name, KmsFieldData *context,
			  KmsFieldData *new_context, KmsFault *fault)
{
	Size		size = kms_args_size(fcinfo, REFRESH_VALUE);
	KmsStatus	status;

	status = kms_args_context(fcinfo, REFRESH_CONTEXT, context, fault);
	if (status == KMS_OK && !PG_ARGISNULL(REFRESH_NEW_CONTEXT))
		status = kms_args_context(fcinfo, REFRESH_NEW_CONTEXT, new_context,
								  fault);
	if (status == KMS_OK && !PG_ARGISNULL(REFRESH_NEW_KEY))
		status = kms_args_field_name(fcinfo, REFRESH_NEW_KEY, name, fault);
	if (status == KMS_OK && size > KMS_FIELD_VALUE_OVERHEAD)
		status = kms_field_check_size(size - KMS_FIELD_VALUE_OVERHEAD, fault);
	return status;
}
