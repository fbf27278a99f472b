/*
 * Blind indexes, and what a device has sent as a value or an index.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "api/finish.h"
#include "api/request.h"
#include "keys/field.h"
#include "pg/settings.h"

#define BITS_MIN	16
#define BITS_MAX	128

/* Arguments. */
enum
{
	INDEX_KEY, INDEX_PLAINTEXT, INDEX_SCOPE, INDEX_FOLD, INDEX_BITS
};
enum
{
	SENT_KEY_ID, SENT_CIPHERTEXT, SENT_FIELD_KEY, SENT_BOUND_TO,
	SENT_DEVICE_ID,
	TO_FIELD_BYTES, TO_FIELD_OAEP,
	TO_INDEX_FOLD = TO_FIELD_BYTES, TO_INDEX_BITS, TO_INDEX_OAEP
};

static KmsStatus fetch_index(FunctionCallInfo fcinfo, char *name,
							 KmsFieldIndex *index, KmsFieldData *data,
							 unsigned char **copy, KmsFault *fault);
static KmsStatus fetch_fold_and_bits(FunctionCallInfo fcinfo, int n,
									 KmsFieldIndex *index, KmsFault *fault);
static KmsStatus fetch_sent(FunctionCallInfo fcinfo, int oaep,
							KmsCall *decrypt, KmsCipherRequest *request,
							KmsFault *fault);

PG_FUNCTION_INFO_V1(kms_api_blind_index);
PG_FUNCTION_INFO_V1(kms_api_decrypt_to_field);
PG_FUNCTION_INFO_V1(kms_api_decrypt_to_index);

Datum
kms_api_blind_index(PG_FUNCTION_ARGS)
{
	KmsFieldNameBuffer name;
	KmsFieldIndex index;
	KmsFieldData text = {0};
	KmsFault	fault = {0};
	KmsFieldCall call;
	unsigned char *copy = NULL;
	bytea	   *result = NULL;
	KmsStatus	status;

	if (PG_ARGISNULL(INDEX_PLAINTEXT))
		PG_RETURN_NULL();
	kms_field_call_begin(&call, KMS_OP_BLIND_INDEX, KMS_RIGHT_INDEX);
	status = fetch_index(fcinfo, name, &index, &text, &copy, &fault);
	if (status == KMS_OK)
		status = kms_field_index(&call, &index, &text, &result, &fault);
	if (copy != NULL)
		explicit_bzero(copy, text.len);
	(void) kms_finish_field(&call, status, &fault, NULL, NULL);
	PG_RETURN_BYTEA_P(result);
}

Datum
kms_api_decrypt_to_field(PG_FUNCTION_ARGS)
{
	KmsFieldNameBuffer name;
	KmsCipherRequest request = {0};
	KmsFieldData context;
	KmsFault	fault = {0};
	KmsCall    *decrypt;
	KmsFieldCall call;
	bytea	   *value = NULL;
	bool		of_field = false;
	KmsStatus	status;

	if (PG_ARGISNULL(SENT_CIPHERTEXT))
		PG_RETURN_NULL();
	decrypt = kms_call_begin(KMS_OP_DECRYPT);
	kms_field_call_begin(&call, KMS_OP_ENCRYPT_FIELD, KMS_RIGHT_ENCRYPT);
	status = fetch_sent(fcinfo, TO_FIELD_OAEP, decrypt, &request, &fault);
	if (status == KMS_OK)
		status = kms_args_field_name(fcinfo, SENT_FIELD_KEY, name, &fault);
	if (status == KMS_OK)
		status = kms_args_context(fcinfo, SENT_BOUND_TO, &context, &fault);
	if (status == KMS_OK)
		status = kms_field_encrypt_sent(&call, decrypt, &request, name,
										&context,
										!PG_ARGISNULL(TO_FIELD_BYTES) &&
										PG_GETARG_BOOL(TO_FIELD_BYTES),
										&value, &of_field, &fault);
	kms_finish_sent(&call, decrypt, status, of_field, &fault);
	PG_RETURN_BYTEA_P(value);
}

Datum
kms_api_decrypt_to_index(PG_FUNCTION_ARGS)
{
	KmsFieldNameBuffer name;
	KmsCipherRequest request = {0};
	KmsFieldIndex index;
	KmsFault	fault = {0};
	KmsCall    *decrypt;
	KmsFieldCall call;
	bytea	   *result = NULL;
	bool		of_field = false;
	KmsStatus	status;

	if (PG_ARGISNULL(SENT_CIPHERTEXT))
		PG_RETURN_NULL();
	decrypt = kms_call_begin(KMS_OP_DECRYPT);
	kms_field_call_begin(&call, KMS_OP_BLIND_INDEX, KMS_RIGHT_INDEX);
	status = fetch_sent(fcinfo, TO_INDEX_OAEP, decrypt, &request, &fault);
	if (status == KMS_OK)
		status = kms_args_field_name(fcinfo, SENT_FIELD_KEY, name, &fault);
	if (status == KMS_OK)
		status = kms_args_scope(fcinfo, SENT_BOUND_TO, &index.scope, &fault);
	if (status == KMS_OK)
		status = fetch_fold_and_bits(fcinfo, TO_INDEX_FOLD, &index, &fault);
	index.name = name;
	if (status == KMS_OK)
		status = kms_field_index_sent(&call, decrypt, &request, &index,
									  &result, &of_field, &fault);
	kms_finish_sent(&call, decrypt, status, of_field, &fault);
	PG_RETURN_BYTEA_P(result);
}

static KmsStatus
fetch_index(FunctionCallInfo fcinfo, char *name, KmsFieldIndex *index,
			KmsFieldData *data, unsigned char **copy, KmsFault *fault)
{
	Size		size = kms_args_size(fcinfo, INDEX_PLAINTEXT);
	text	   *value;
	KmsStatus	status;

	index->name = name;
	status = kms_args_field_name(fcinfo, INDEX_KEY, name, fault);
	if (status == KMS_OK)
		status = kms_args_scope(fcinfo, INDEX_SCOPE, &index->scope, fault);
	if (status == KMS_OK)
		status = fetch_fold_and_bits(fcinfo, INDEX_FOLD, index, fault);
	if (status == KMS_OK)
		status = kms_field_check_size(size, fault);
	if (status != KMS_OK)
		return status;
	value = PG_GETARG_TEXT_PP(INDEX_PLAINTEXT);
	data->data = (const unsigned char *) VARDATA_ANY(value);
	data->len = VARSIZE_ANY_EXHDR(value);
	return kms_field_to_utf8("plaintext", data, copy, fault);
}

static KmsStatus
fetch_fold_and_bits(FunctionCallInfo fcinfo, int n, KmsFieldIndex *index,
					KmsFault *fault)
{
	if (PG_ARGISNULL(n))
		return kms_fault_null(fault, "fold must not be null");
	if (PG_ARGISNULL(n + 1))
		return kms_fault_null(fault, "bits must not be null");
	if (kms_args_size(fcinfo, n) > KMS_FOLD_NAME_MAX ||
		!kms_fold_by_name(text_to_cstring(PG_GETARG_TEXT_PP(n)), &index->fold))
		return kms_fault_argument(fault, "unknown fold", NULL,
								  "Use none, digits or alnum.");
	index->bits = PG_GETARG_INT32(n + 1);
	if (index->bits < BITS_MIN || index->bits > BITS_MAX ||
		index->bits % 8 != 0)
		return kms_fault_argument(fault, "invalid number of bits",
								  "The number must be a multiple of 8 from 16 to 128.",
								  NULL);
	return kms_fault(fault, KMS_OK);
}

static KmsStatus
fetch_sent(FunctionCallInfo fcinfo, int oaep, KmsCall *decrypt,
		   KmsCipherRequest *request, KmsFault *fault)
{
	char	   *device_id = palloc(sizeof(KmsDeviceIdBuffer));
	bool		given;
	KmsStatus	status;

	status = kms_request_key(fcinfo, SENT_KEY_ID, decrypt, request, fault);
	if (status == KMS_OK)
		status = kms_args_optional_device_id(fcinfo, SENT_DEVICE_ID,
											 device_id, &given, fault);
	if (status != KMS_OK)
		return status;
	request->device_id = given ? device_id : NULL;
	status = kms_request_oaep(fcinfo, oaep, &request->oaep, fault);
	if (status == KMS_OK)
		status = kms_request_text(fcinfo, SENT_CIPHERTEXT, request, fault);
	if (status == KMS_OK)
		status = kms_request_check_options(request, fault);
	return status;
}
