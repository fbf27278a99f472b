/*
 * Decrypting a JWE, with the key that it names, and encrypting as a JWE.
 */
#include "postgres.h"

#include "api/args.h"
#include "api/finish.h"
#include "api/request.h"
#include "keys/jwe_message.h"
#include "keys/jwe_writer.h"
#include "keys/plaintext.h"
#include "pg/client.h"
#include "pg/compat.h"
#include "pg/settings.h"

/* Arguments of kms_decrypt_jwe and kms_encrypt_jwe. */
enum
{
	DECRYPT_JWE, DECRYPT_DEVICE_ID, DECRYPT_KEY_ID
};
enum
{
	ENCRYPT_KEY_ID, ENCRYPT_PLAINTEXT, ENCRYPT_ENC, ENCRYPT_ALG
};

static Datum decrypt(FunctionCallInfo fcinfo, bool is_text);
static KmsStatus fetch_decrypt(FunctionCallInfo fcinfo, KmsCall *call,
							   KmsCipherRequest *request, KmsFault *fault);
static KmsStatus fetch_encrypt(FunctionCallInfo fcinfo, KmsCall *call,
							   KmsJweRequest *request, KmsFault *fault);
static KmsStatus fetch_algorithms(FunctionCallInfo fcinfo,
								  KmsJweRequest *request, KmsFault *fault);
static KmsStatus encrypt(KmsCall *call, KmsJweRequest *request, text **jwe,
						 KmsFault *fault);

PG_FUNCTION_INFO_V1(kms_api_decrypt_jwe);
PG_FUNCTION_INFO_V1(kms_api_decrypt_jwe_bytea);
PG_FUNCTION_INFO_V1(kms_api_encrypt_jwe);

Datum
kms_api_decrypt_jwe(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, true);
}

Datum
kms_api_decrypt_jwe_bytea(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, false);
}

static Datum
decrypt(FunctionCallInfo fcinfo, bool is_text)
{
	KmsCipherRequest request = {0};
	KmsPlaintext plaintext = {0};
	KmsFault	fault = {0};
	KmsCall    *call;
	KmsStatus	status;

	if (PG_ARGISNULL(DECRYPT_JWE))
		PG_RETURN_NULL();
	call = kms_call_begin(KMS_OP_DECRYPT);
	status = fetch_decrypt(fcinfo, call, &request, &fault);
	if (status == KMS_OK)
	{
		kms_plaintext_prepare(&plaintext, is_text);
		kms_plaintext_make_room(&plaintext, &request);
		status = kms_plaintext_decrypt(&plaintext, call, &request, false,
									   &fault);
	}
	(void) kms_finish_with_plaintext(call, status, &fault, NULL, &plaintext);
	PG_RETURN_POINTER(plaintext.result);
}

static KmsStatus
fetch_decrypt(FunctionCallInfo fcinfo, KmsCall *call,
			  KmsCipherRequest *request, KmsFault *fault)
{
	char	   *device_id = palloc(sizeof(KmsDeviceIdBuffer));
	char	   *key_id;
	bool		given;
	KmsStatus	status = kms_fault(fault, KMS_OK);

	if (!PG_ARGISNULL(DECRYPT_KEY_ID))
		status = kms_request_key(fcinfo, DECRYPT_KEY_ID, call, request, fault);
	if (status != KMS_OK)
		return status;
	if (kms_require_tls && kms_client_in_clear())
		return kms_fault(fault, KMS_NO_TLS);
	status = kms_args_optional_device_id(fcinfo, DECRYPT_DEVICE_ID, device_id,
										 &given, fault);
	if (status != KMS_OK)
	{
		fault->hint = "Check the order of the arguments: the JWE comes first, the device id second.";
		return status;
	}
	status = kms_request_jwe(fcinfo, DECRYPT_JWE, request, fault);
	if (status != KMS_OK)
		return status;
	request->device_id = given ? device_id : NULL;
	if (request->key_id != NULL)
		return status;
	status = kms_jwe_message_key_id(request->jwe, &key_id, fault);
	if (status == KMS_OK)
	{
		request->key_id = key_id;
		kms_call_key(call, key_id);
	}
	return status;
}

Datum
kms_api_encrypt_jwe(PG_FUNCTION_ARGS)
{
	KmsJweRequest request = {0};
	KmsFault	fault = {0};
	text	   *jwe = NULL;
	KmsCall    *call;
	KmsStatus	status;

	if (PG_ARGISNULL(ENCRYPT_PLAINTEXT))
		PG_RETURN_NULL();
	call = kms_call_begin(KMS_OP_ENCRYPT);
	status = fetch_encrypt(fcinfo, call, &request, &fault);
	if (status == KMS_OK)
		status = encrypt(call, &request, &jwe, &fault);
	kms_finish(call, status, &fault);
	PG_RETURN_TEXT_P(jwe);
}

static KmsStatus
fetch_encrypt(FunctionCallInfo fcinfo, KmsCall *call, KmsJweRequest *request,
			  KmsFault *fault)
{
	char	   *key_id = palloc(sizeof(KmsKeyIdBuffer));
	text	   *plain;
	KmsStatus	status;

	status = kms_args_key_id(fcinfo, ENCRYPT_KEY_ID, key_id, fault);
	if (status != KMS_OK)
		return status;
	request->key_id = key_id;
	kms_call_key(call, key_id);
	status = fetch_algorithms(fcinfo, request, fault);
	if (status != KMS_OK)
		return status;
	if (kms_args_size(fcinfo, ENCRYPT_PLAINTEXT) > (Size) kms_max_jwe_size)
		return kms_jwe_writer_too_long(fault);
	plain = PG_GETARG_TEXT_PP(ENCRYPT_PLAINTEXT);
	request->data = (const unsigned char *) VARDATA_ANY(plain);
	request->len = VARSIZE_ANY_EXHDR(plain);
	return status;
}

static KmsStatus
fetch_algorithms(FunctionCallInfo fcinfo, KmsJweRequest *request,
				 KmsFault *fault)
{
	char	   *enc = NULL;
	char	   *alg;
	KmsStatus	status;

	if (PG_ARGISNULL(ENCRYPT_ENC))
		return kms_fault_null(fault, "enc must not be null");
	status = kms_args_line(fcinfo, ENCRYPT_ENC, "enc", KMS_JWE_NAME_MAX, &enc,
						   fault);
	if (status == KMS_OK)
		status = kms_args_line(fcinfo, ENCRYPT_ALG, "alg", KMS_JWE_NAME_MAX,
							   &alg, fault);
	if (status != KMS_OK)
		return status;
	request->enc = kms_jwe_algorithm_enc_by_name(enc, strlen(enc));
	if (request->enc == KMS_JWE_ENC_NONE)
		return kms_fault_argument(fault, "unknown enc", NULL,
								  "Use A128GCM, A192GCM, A256GCM, A128CBC-HS256, A192CBC-HS384 or A256CBC-HS512.");
	if (alg != NULL)
		request->alg = kms_jwe_algorithm_alg_by_name(alg, strlen(alg));
	if (alg != NULL && request->alg == KMS_JWE_ALG_NONE)
		return kms_fault_argument(fault, "unknown alg", NULL,
								  KMS_JWE_WRITER_ALGS_HINT);
	return status;
}

static KmsStatus
encrypt(KmsCall *call, KmsJweRequest *request, text **jwe, KmsFault *fault)
{
	size_t		size = request->len * KMS_ENCODING_GROWTH + 1;
	unsigned char *utf8 = palloc(size);
	KmsStatus	status = KMS_OK;

	PG_TRY();
	{
		status = kms_plaintext_to_utf8(&request->data, &request->len, utf8,
									   size, fault);
		if (status == KMS_OK)
			status = kms_jwe_writer_encrypt(call, request, jwe, fault);
	}
	PG_FINALLY();
	{
		explicit_bzero(utf8, size);
	}
	PG_END_TRY();
	return status;
}
