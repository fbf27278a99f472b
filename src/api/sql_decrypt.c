/*
 * kms_decrypt and its family: decrypt one ciphertext.
 */
#include "postgres.h"

#include "api/finish.h"
#include "api/request.h"
#include "keys/plaintext.h"

static Datum decrypt(FunctionCallInfo fcinfo, bool is_text,
					 KmsStatusTest is_answer);
static Datum recover(FunctionCallInfo fcinfo, bool is_text);
static bool is_logged_first(KmsStatus status);

PG_FUNCTION_INFO_V1(kms_api_decrypt);
PG_FUNCTION_INFO_V1(kms_api_decrypt_bytea);
PG_FUNCTION_INFO_V1(kms_api_try_decrypt);
PG_FUNCTION_INFO_V1(kms_api_try_decrypt_bytea);
PG_FUNCTION_INFO_V1(kms_api_decrypt_recover);
PG_FUNCTION_INFO_V1(kms_api_decrypt_recover_bytea);

Datum
kms_api_decrypt(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, true, NULL);
}

Datum
kms_api_decrypt_bytea(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, false, NULL);
}

Datum
kms_api_try_decrypt(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, true, kms_fault_is_tried);
}

Datum
kms_api_try_decrypt_bytea(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, false, kms_fault_is_tried);
}

Datum
kms_api_decrypt_recover(PG_FUNCTION_ARGS)
{
	return recover(fcinfo, true);
}

Datum
kms_api_decrypt_recover_bytea(PG_FUNCTION_ARGS)
{
	return recover(fcinfo, false);
}

/* Decrypt.  Return NULL if the status is an answer. */
static Datum
decrypt(FunctionCallInfo fcinfo, bool is_text, KmsStatusTest is_answer)
{
	KmsCipherRequest request = {0};
	KmsPlaintext plaintext = {0};
	KmsFault	fault = {0};
	KmsCall    *call;
	KmsStatus	status;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	call = kms_call_begin(KMS_OP_DECRYPT);
	status = kms_request_decrypt(fcinfo, is_text, call, &request, NULL,
								 &fault);
	if (status == KMS_OK)
	{
		kms_plaintext_prepare(&plaintext, is_text);
		kms_plaintext_make_room(&plaintext, &request);
		status = kms_plaintext_decrypt(&plaintext, call, &request, false,
									   &fault);
	}
	if (kms_finish_with_plaintext(call, status, &fault, is_answer, &plaintext))
		PG_RETURN_POINTER(plaintext.result);
	PG_RETURN_NULL();
}

static Datum
recover(FunctionCallInfo fcinfo, bool is_text)
{
	KmsCipherRequest request = {0};
	KmsPlaintext plaintext = {0};
	KmsFault	fault = {0};
	KmsCall    *call;
	char	   *reason = NULL;
	KmsStatus	status;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	call = kms_call_begin(KMS_OP_RECOVER);
	status = kms_request_decrypt(fcinfo, is_text, call, &request, &reason,
								 &fault);
	if (status == KMS_OK)
	{
		kms_plaintext_prepare(&plaintext, is_text);
		kms_plaintext_make_room(&plaintext, &request);
		status = kms_plaintext_decrypt(&plaintext, call, &request, true,
									   &fault);
	}
	PG_TRY();
	{
		(void) kms_finish_with_answer(call, status, &fault, is_logged_first);
		kms_cipher_log_recovery(call, reason, status);
		if (status != KMS_OK)
			kms_fault_raise(&fault);
	}
	PG_CATCH();
	{
		kms_plaintext_wipe(&plaintext);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PG_RETURN_POINTER(plaintext.result);
}

/*
 * Treat each status as an answer, because the line in the server log must be
 * written before the error is raised.
 */
static bool
is_logged_first(KmsStatus status)
{
	return true;
}
