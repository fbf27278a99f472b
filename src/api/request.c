#include "postgres.h"

#include "api/request.h"

#include "api/args.h"
#include "pg/client.h"
#include "pg/encoding.h"
#include "pg/settings.h"

/* In bytes.  OAEP hashes a label of any length, so a limit is needed. */
#define LABEL_MAX_BYTES 4096

static KmsStatus check_size(FunctionCallInfo fcinfo, int n, KmsFault *fault);

KmsStatus
kms_request_decrypt(FunctionCallInfo fcinfo, bool is_text, KmsCall *call,
					KmsCipherRequest *request, char **reason,
					KmsFault *fault)
{
	int			n = 2;
	KmsStatus	status;

	status = kms_request_key(fcinfo, 0, call, request, fault);
	if (status != KMS_OK)
		return status;
	if (kms_require_tls && kms_client_in_clear())
		return kms_fault(fault, KMS_NO_TLS);
	if (reason != NULL)
	{
		status = kms_args_reason(fcinfo, n, reason, fault);
		if (status != KMS_OK)
			return status;
		kms_call_remark(call, *reason);
		n++;
	}
	status = kms_request_options(fcinfo, n, request, fault);
	if (status != KMS_OK)
		return status;
	if (is_text)
		return kms_request_base64(fcinfo, 1, request, fault);
	return kms_request_ciphertext(fcinfo, 1, request, fault);
}

KmsStatus
kms_request_key(FunctionCallInfo fcinfo, int n, KmsCall *call,
				KmsCipherRequest *request, KmsFault *fault)
{
	char	   *key_id = palloc(sizeof(KmsKeyIdBuffer));
	KmsStatus	status = kms_args_key_id(fcinfo, n, key_id, fault);

	if (status != KMS_OK)
		return status;
	request->key_id = key_id;
	kms_call_key(call, key_id);
	return status;
}

KmsStatus
kms_request_options(FunctionCallInfo fcinfo, int n, KmsCipherRequest *request,
					KmsFault *fault)
{
	char	   *device_id = palloc(sizeof(KmsDeviceIdBuffer));
	bool		given;
	KmsStatus	status;

	status = kms_args_optional_device_id(fcinfo, n, device_id, &given, fault);
	if (status != KMS_OK)
		return status;
	if (given)
		request->device_id = device_id;
	return kms_request_oaep(fcinfo, n + 1, &request->oaep, fault);
}

KmsStatus
kms_request_oaep(FunctionCallInfo fcinfo, int n, KmsOaep *oaep, KmsFault *fault)
{
	KmsStatus	status;

	memset(oaep, 0, sizeof(*oaep));
	status = kms_args_digest(fcinfo, n, "oaep_hash", &oaep->digest, fault);
	if (status == KMS_OK)
		status = kms_args_digest(fcinfo, n + 1, "mgf1_hash", &oaep->mgf1, fault);
	if (status != KMS_OK || PG_ARGISNULL(n + 2))
		return status;
	if (kms_args_size(fcinfo, n + 2) > LABEL_MAX_BYTES)
		return kms_fault_argument(fault, "label is too long",
								  psprintf("The label may have at most %d bytes.", LABEL_MAX_BYTES),
								  NULL);
	{
		bytea	   *label = PG_GETARG_BYTEA_PP(n + 2);

		oaep->label = (const unsigned char *) VARDATA_ANY(label);
		oaep->label_len = VARSIZE_ANY_EXHDR(label);
	}
	return status;
}

KmsStatus
kms_request_base64(FunctionCallInfo fcinfo, int n, KmsCipherRequest *request,
				   KmsFault *fault)
{
	KmsStatus	status = check_size(fcinfo, n, fault);
	text	   *value;

	if (status != KMS_OK)
		return status;
	value = PG_GETARG_TEXT_PP(n);
	if (kms_encoding_decode_base64(VARDATA_ANY(value),
								   VARSIZE_ANY_EXHDR(value), &request->data,
								   &request->len))
		return kms_fault(fault, KMS_OK);
	return kms_fault_ciphertext(fault, "ciphertext is not base64", NULL,
								"Send the ciphertext in base64 (RFC 4648), of either alphabet.");
}

KmsStatus
kms_request_ciphertext(FunctionCallInfo fcinfo, int n, KmsCipherRequest *request,
					   KmsFault *fault)
{
	KmsStatus	status = check_size(fcinfo, n, fault);
	bytea	   *value;

	if (status != KMS_OK)
		return status;
	value = PG_GETARG_BYTEA_PP(n);
	request->data = (const unsigned char *) VARDATA_ANY(value);
	request->len = VARSIZE_ANY_EXHDR(value);
	return status;
}

static KmsStatus
check_size(FunctionCallInfo fcinfo, int n, KmsFault *fault)
{
	Size		size = kms_args_size(fcinfo, n);

	if (size <= (Size) kms_max_ciphertext_size)
		return kms_fault(fault, KMS_OK);
	fault->detail = psprintf("The ciphertext has %zu bytes, the limit is %d.",
							 size, kms_max_ciphertext_size);
	return kms_fault(fault, KMS_TOO_LARGE);
}
