/*
 * Hashing and verifying secrets.  The plaintext exists only in
 * src/keys/secret.c and never becomes a SQL value.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "api/finish.h"
#include "api/request.h"
#include "keys/call.h"
#include "keys/secret.h"
#include "pg/compat.h"
#include "pg/fault.h"

#define SUBJECT_MAX 255			/* bytes */

/* Arguments of kms_verify_secret. */
enum
{
	VERIFY_KEY_ID, VERIFY_CIPHERTEXT, VERIFY_HASH, VERIFY_SUBJECT,
	VERIFY_DEVICE_ID
};

static KmsStatus fetch_hash(FunctionCallInfo fcinfo, KmsCall *call,
							KmsCipherRequest *request, KmsFault *fault);
static KmsStatus fetch_verify(FunctionCallInfo fcinfo, KmsCall *call,
							  KmsSecretAttempt *attempt, KmsFault *fault);
static bool is_hash(const char *subject);
static KmsStatus fetch_ciphertext(FunctionCallInfo fcinfo,
								  KmsCipherRequest *request);
static KmsStatus fetch_stored(FunctionCallInfo fcinfo,
							  const KmsSecretHash **stored);

PG_FUNCTION_INFO_V1(kms_api_hash_secret);
PG_FUNCTION_INFO_V1(kms_api_verify_secret);

Datum
kms_api_hash_secret(PG_FUNCTION_ARGS)
{
	KmsCipherRequest request = {0};
	KmsFault	fault = {0};
	char		hash[KMS_SECRET_HASH_MADE + 1];
	KmsCall    *call;
	KmsStatus	status;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	CHECK_FOR_INTERRUPTS();
	call = kms_call_begin(KMS_OP_DECRYPT);
	status = fetch_hash(fcinfo, call, &request, &fault);
	if (status == KMS_OK)
		status = kms_secret_hash(call, &request, hash, &fault);
	kms_finish(call, status, &fault);
	PG_RETURN_TEXT_P(cstring_to_text(hash));
}

Datum
kms_api_verify_secret(PG_FUNCTION_ARGS)
{
	KmsSecretAttempt attempt = {0};
	KmsFault	fault = {0};
	KmsCall    *call;
	KmsStatus	status;

	CHECK_FOR_INTERRUPTS();
	call = kms_call_begin(KMS_OP_VERIFY);

	/*
	 * Processes that share a query share its locks, including the lock of a
	 * subject.  The function's label keeps it out of parallel workers, but
	 * not if a function that calls it is labelled PARALLEL SAFE.
	 */
	if (IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("kms_verify_secret() cannot run in a parallel worker"),
				 errhint("Mark the functions that call it PARALLEL RESTRICTED or UNSAFE."),
				 KMS_HIDE_STATEMENT));
	status = fetch_verify(fcinfo, call, &attempt, &fault);
	if (status == KMS_OK)
		status = kms_secret_verify(call, &attempt, &fault);
	PG_RETURN_BOOL(kms_finish_with_answer(call, status, &fault,
										  kms_secret_is_answer));
}

static KmsStatus
fetch_hash(FunctionCallInfo fcinfo, KmsCall *call, KmsCipherRequest *request,
		   KmsFault *fault)
{
	KmsStatus	status;

	status = kms_request_key(fcinfo, 0, call, request, fault);
	if (status == KMS_OK)
		status = kms_request_options(fcinfo, 2, request, fault);
	if (status == KMS_OK)
		status = kms_request_text(fcinfo, 1, request, fault);
	if (status == KMS_OK)
		status = kms_request_check_options(request, fault);
	return status;
}

/*
 * A bad ciphertext or hash is an answer (false), not an error.  So is a JWE
 * with a digest or a label, because the client chooses the form.
 */
static KmsStatus
fetch_verify(FunctionCallInfo fcinfo, KmsCall *call,
			 KmsSecretAttempt *attempt, KmsFault *fault)
{
	char	   *subject;
	KmsStatus	status;
	KmsStatus	stored;

	status = kms_request_key(fcinfo, VERIFY_KEY_ID, call, &attempt->cipher, fault);
	if (status == KMS_OK)
		status = kms_args_line(fcinfo, VERIFY_SUBJECT, "subject", SUBJECT_MAX,
							   &subject, fault);
	if (status != KMS_OK)
		return status;
	if (subject != NULL && is_hash(subject))
		return kms_fault_argument(fault, "subject is a hash", NULL,
								  "Check the order of the arguments: the hash comes before the subject.");
	if (subject != NULL)
		kms_call_remark(call, subject);
	attempt->subject = subject;
	status = kms_request_options(fcinfo, VERIFY_DEVICE_ID, &attempt->cipher,
								 fault);
	if (status != KMS_OK)
		return status;
	attempt->unusable = fetch_ciphertext(fcinfo, &attempt->cipher);
	stored = fetch_stored(fcinfo, &attempt->hash);
	if (attempt->unusable == KMS_OK)
		attempt->unusable = stored;
	return status;
}

/*
 * Return true if the subject is a hash.  The subject is recorded in the trail,
 * and a hash must not be.
 */
static bool
is_hash(const char *subject)
{
	KmsSecretHash ignored;

	return kms_secret_hash_parse(subject, strlen(subject), &ignored) == KMS_OK;
}

static KmsStatus
fetch_ciphertext(FunctionCallInfo fcinfo, KmsCipherRequest *request)
{
	KmsFault	ignored = {0};
	KmsStatus	status;

	if (PG_ARGISNULL(VERIFY_CIPHERTEXT))
		return KMS_BAD_CIPHERTEXT;
	status = kms_request_text(fcinfo, VERIFY_CIPHERTEXT, request, &ignored);
	if (status == KMS_OK)
		status = kms_request_check_options(request, &ignored);
	return status;
}

static KmsStatus
fetch_stored(FunctionCallInfo fcinfo, const KmsSecretHash **stored)
{
	KmsSecretHash *hash;
	text	   *value;
	KmsStatus	status;

	if (PG_ARGISNULL(VERIFY_HASH) ||
		kms_args_size(fcinfo, VERIFY_HASH) > KMS_SECRET_HASH_MAX)
		return KMS_BAD_FORMAT;
	value = PG_GETARG_TEXT_PP(VERIFY_HASH);
	hash = palloc(sizeof(KmsSecretHash));
	status = kms_secret_hash_parse(VARDATA_ANY(value),
								   VARSIZE_ANY_EXHDR(value), hash);
	if (status == KMS_OK)
		*stored = hash;
	return status;
}
