/*
 * The functions that return plaintext.
 *
 * Plaintext exists in a buffer on the stack, which is wiped before the frame
 * is left, and in the result, which is the caller's.  Whatever may raise
 * (allocation, look-up of an encoding conversion) is done before there is
 * any.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "keys/call.h"
#include "keys/cipher.h"
#include "pg/client.h"
#include "pg/compat.h"
#include "pg/settings.h"

/* the most bytes that a byte of UTF-8 becomes in another encoding */
#define ENCODING_GROWTH MAX_CONVERSION_GROWTH

/* What a function of the family is. */
typedef enum DecryptKind
{
	DECRYPT,
	TRY_DECRYPT,
	RECOVER
} DecryptKind;

/* Where the plaintext goes. */
typedef struct Sink
{
	bool text;
	Oid			conversion;		/* InvalidOid: none is needed */
	struct varlena *result;
	size_t		size;
} Sink;

static Datum decrypt(FunctionCallInfo fcinfo, DecryptKind kind, bool is_text);
static KmsStatus fetch(FunctionCallInfo fcinfo, DecryptKind kind, bool is_text,
					   KmsCall *call, KmsCipherRequest *request,
					   char **reason, KmsFault *fault);
static KmsStatus open_to(KmsCall *call, const KmsCipherRequest *request,
						 bool recover, Sink *sink, KmsFault *fault);
static void prepare(Sink *sink, bool is_text);
static void succeed(KmsCall *call, Sink *sink);
static KmsStatus fill(Sink *sink, const unsigned char *plain, size_t len);
static KmsStatus fill_text(Sink *sink, const unsigned char *plain, size_t len);
static void log_recovery(const char *key_id, const char *reason,
						 KmsStatus status);

PG_FUNCTION_INFO_V1(kms_api_decrypt);
PG_FUNCTION_INFO_V1(kms_api_decrypt_bytea);
PG_FUNCTION_INFO_V1(kms_api_try_decrypt);
PG_FUNCTION_INFO_V1(kms_api_try_decrypt_bytea);
PG_FUNCTION_INFO_V1(kms_api_decrypt_recover);
PG_FUNCTION_INFO_V1(kms_api_decrypt_recover_bytea);

Datum
kms_api_decrypt(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, DECRYPT, true);
}

Datum
kms_api_decrypt_bytea(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, DECRYPT, false);
}

Datum
kms_api_try_decrypt(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, TRY_DECRYPT, true);
}

Datum
kms_api_try_decrypt_bytea(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, TRY_DECRYPT, false);
}

Datum
kms_api_decrypt_recover(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, RECOVER, true);
}

Datum
kms_api_decrypt_recover_bytea(PG_FUNCTION_ARGS)
{
	return decrypt(fcinfo, RECOVER, false);
}

static Datum
decrypt(FunctionCallInfo fcinfo, DecryptKind kind, bool is_text)
{
	KmsCipherRequest request = {0};
	KmsFault	fault = {0};
	Sink		sink;
	KmsCall    *call;
	char	   *reason = NULL;
	KmsStatus	status;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	call = kms_call_begin(kind == RECOVER ? KMS_OP_RECOVER : KMS_OP_DECRYPT);
	status = fetch(fcinfo, kind, is_text, call, &request, &reason, &fault);
	if (status == KMS_OK)
	{
		prepare(&sink, is_text);
		status = open_to(call, &request, kind == RECOVER, &sink, &fault);
	}
	if (status == KMS_OK)
		succeed(call, &sink);
	else
		kms_call_fail(call, status);
	if (kind == RECOVER)
		log_recovery(kms_call_recorded_key(call), reason, status);
	if (status == KMS_OK)
		PG_RETURN_POINTER(sink.result);
	if (kind == TRY_DECRYPT && kms_status_is_tried(status))
		PG_RETURN_NULL();
	kms_fault_raise(&fault);
}

static KmsStatus
fetch(FunctionCallInfo fcinfo, DecryptKind kind, bool is_text, KmsCall *call,
	  KmsCipherRequest *request, char **reason, KmsFault *fault)
{
	int			n = 2;
	KmsStatus	status;

	status = kms_arg_key(fcinfo, 0, call, request, fault);
	if (status != KMS_OK)
		return status;
	if (kms_require_tls && kms_client_in_clear())
		return kms_fault(fault, KMS_NO_TLS);
	if (kind == RECOVER)
	{
		status = kms_arg_reason(fcinfo, n, reason, fault);
		if (status != KMS_OK)
			return status;
		kms_call_context(call, *reason);
		n++;
	}
	status = kms_arg_options(fcinfo, n, request, fault);
	if (status != KMS_OK)
		return status;
	if (is_text)
		return kms_arg_base64(fcinfo, 1, &request->data, &request->len, fault);
	return kms_arg_ciphertext(fcinfo, 1, &request->data, &request->len, fault);
}

static KmsStatus
open_to(KmsCall *call, const KmsCipherRequest *request, bool recover,
		Sink *sink, KmsFault *fault)
{
	unsigned char plain[KMS_RSA_MAX_BLOCK];
	size_t		len;
	KmsStatus	status;

	status = kms_cipher_decrypt(call, request, recover, plain, &len, fault);
	if (status == KMS_OK)
	{
		status = kms_fault(fault, fill(sink, plain, len));
		explicit_bzero(plain, sizeof(plain));
	}
	return status;
}

/* It may raise, if the event cannot be recorded. */
static void
succeed(KmsCall *call, Sink *sink)
{
	PG_TRY();
	{
		kms_call_succeed(call);
	}
	PG_CATCH();
	{
		explicit_bzero(sink->result, VARHDRSZ + sink->size);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Make room for any plaintext, and find the way to the database's encoding. */
static void
prepare(Sink *sink, bool is_text)
{
	int			encoding = GetDatabaseEncoding();

	sink->text = is_text;

	sink->conversion = InvalidOid;
	sink->size = KMS_RSA_MAX_BLOCK + 1;
	if (is_text && encoding != PG_UTF8 && encoding != PG_SQL_ASCII)
	{
		sink->conversion = FindDefaultConversionProc(PG_UTF8, encoding);
		if (!OidIsValid(sink->conversion))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FUNCTION),
					 errmsg("there is no conversion from UTF8 to the database's encoding")));
		sink->size = KMS_RSA_MAX_BLOCK * ENCODING_GROWTH + 1;
	}
	sink->result = palloc(VARHDRSZ + sink->size);

	/* the first conversion loads its library, which may raise */
	if (OidIsValid(sink->conversion))
		(void) fill_text(sink, (const unsigned char *) "x", 1);
}

static KmsStatus
fill(Sink *sink, const unsigned char *plain, size_t len)
{
	if (sink->text)
		return fill_text(sink, plain, len);
	memcpy(VARDATA(sink->result), plain, len);
	SET_VARSIZE(sink->result, VARHDRSZ + len);
	return KMS_OK;
}

/* Nothing here may raise: PostgreSQL's messages would show the bytes. */
static KmsStatus
fill_text(Sink *sink, const unsigned char *plain, size_t len)
{
	char	   *out = VARDATA(sink->result);

	if (!pg_verify_mbstr(PG_UTF8, (const char *) plain, len, true))
		return KMS_NOT_TEXT;
	if (!OidIsValid(sink->conversion))
		memcpy(out, plain, len);
	else
	{
		int			done;

		done = pg_do_encoding_conversion_buf(sink->conversion, PG_UTF8,
											 GetDatabaseEncoding(),
											 unconstify(unsigned char *, plain),
											 len, (unsigned char *) out,
											 sink->size, true);
		if (done != (int) len)
		{
			explicit_bzero(out, sink->size);
			return KMS_NOT_TEXT;
		}
		len = strlen(out);
	}
	SET_VARSIZE(sink->result, VARHDRSZ + len);
	return KMS_OK;
}

/* Break-glass leaves a line in the server log each time. */
static void
log_recovery(const char *key_id, const char *reason, KmsStatus status)
{
	ereport(LOG,
			(errmsg("kms: role \"%s\" %s data of encryption key \"%s\" with kms_decrypt_recover",
					GetUserNameFromId(GetSessionUserId(), true),
					status == KMS_OK ? "opened" : "could not open",
					key_id),
			 errdetail("Reason given: %s", reason != NULL ? reason : "none"),
			 errhidestmt(true), errhidecontext(true)));
}
