#include "postgres.h"

#include "utils/builtins.h"

#include "api/args.h"
#include "api/finish.h"
#include "api/request.h"
#include "keys/plaintext.h"

/* Longest plaintext that can fit any key, in any encoding. */
#define PLAINTEXT_MAX (KMS_RSA_MAX_BLOCK * KMS_ENCODING_GROWTH)

static Datum encrypt(FunctionCallInfo fcinfo, bool text_form);
static KmsStatus fetch(FunctionCallInfo fcinfo, KmsCall *call,
					   KmsCipherRequest *request, KmsFault *fault);
static KmsStatus encrypt_text(KmsCall *call, KmsCipherRequest *request,
							  unsigned char *out, size_t *out_len,
							  KmsFault *fault);

PG_FUNCTION_INFO_V1(kms_api_encrypt);
PG_FUNCTION_INFO_V1(kms_api_encrypt_bytea);

Datum
kms_api_encrypt(PG_FUNCTION_ARGS)
{
	return encrypt(fcinfo, true);
}

Datum
kms_api_encrypt_bytea(PG_FUNCTION_ARGS)
{
	return encrypt(fcinfo, false);
}

static Datum
encrypt(FunctionCallInfo fcinfo, bool text_form)
{
	unsigned char out[KMS_RSA_MAX_BLOCK];
	size_t		out_len = 0;
	KmsCipherRequest request = {0};
	KmsFault	fault = {0};
	KmsCall    *call;
	KmsStatus	status;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	call = kms_call_begin(KMS_OP_ENCRYPT);
	status = fetch(fcinfo, call, &request, &fault);
	if (status == KMS_OK && text_form)
		status = encrypt_text(call, &request, out, &out_len, &fault);
	else if (status == KMS_OK)
		status = kms_cipher_encrypt(call, &request, out, &out_len, &fault);
	kms_finish(call, status, &fault);
	if (text_form)
		PG_RETURN_TEXT_P(kms_encoding_encode_base64(out, out_len));
	return PointerGetDatum(cstring_to_text_with_len((char *) out, out_len));
}

static KmsStatus
fetch(FunctionCallInfo fcinfo, KmsCall *call, KmsCipherRequest *request,
	  KmsFault *fault)
{
	char	   *key_id = palloc(sizeof(KmsKeyIdBuffer));
	struct varlena *plain;
	KmsStatus	status;

	status = kms_args_key_id(fcinfo, 0, key_id, fault);
	if (status != KMS_OK)
		return status;
	request->key_id = key_id;
	kms_call_key(call, key_id);
	status = kms_request_oaep(fcinfo, 2, &request->oaep, fault);
	if (status != KMS_OK)
		return status;
	if (kms_args_size(fcinfo, 1) > PLAINTEXT_MAX)
		return kms_fault_argument(fault, "plaintext is too long for the key",
								  psprintf("The plaintext has %zu bytes; at most %d fit in any key.",
										   kms_args_size(fcinfo, 1),
										   KMS_RSA_MAX_BLOCK), NULL);
	plain = PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(1));
	request->data = (const unsigned char *) VARDATA_ANY(plain);
	request->len = VARSIZE_ANY_EXHDR(plain);
	return status;
}

static KmsStatus
encrypt_text(KmsCall *call, KmsCipherRequest *request, unsigned char *out,
			 size_t *out_len, KmsFault *fault)
{
	unsigned char utf8[PLAINTEXT_MAX * KMS_ENCODING_GROWTH + 1];
	KmsStatus	status = KMS_OK;

	PG_TRY();
	{
		status = kms_plaintext_to_utf8(&request->data, &request->len, utf8,
									   sizeof(utf8), fault);
		if (status == KMS_OK)
			status = kms_cipher_encrypt(call, request, out, out_len, fault);
		else
			fault->hint = "Use kms_encrypt_bytea() for binary data.";
	}
	PG_FINALLY();
	{
		explicit_bzero(utf8, sizeof(utf8));
	}
	PG_END_TRY();
	return status;
}
