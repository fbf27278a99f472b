#include "postgres.h"

#include "api/request.h"

#include "api/args.h"
#include "crypto/jwe_form.h"
#include "keys/jwe_message.h"
#include "pg/client.h"
#include "pg/encoding.h"
#include "pg/settings.h"

/* In bytes.  OAEP hashes a label of any length, so a limit is needed. */
#define LABEL_MAX_BYTES 4096

#define LIMITS_HINT \
	"The limits are kms.max_ciphertext_size and, for a JWE, kms.max_jwe_size."

static KmsStatus fetch_either(FunctionCallInfo fcinfo, int n, bool is_text,
							  struct varlena **value,
							  KmsCipherRequest *request, KmsFault *fault);
static KmsStatus take_jwe(const text *value, KmsCipherRequest *request,
						  KmsFault *fault);
static void take_block(const bytea *value, KmsCipherRequest *request);
static KmsStatus check_size(const char *what, Size size, int limit,
							KmsFault *fault);

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
		status = kms_request_text(fcinfo, 1, request, fault);
	else if (reason != NULL)
		status = kms_request_bytes(fcinfo, 1, request, fault);
	else
		status = kms_request_block(fcinfo, 1, request, fault);
	if (status == KMS_OK)
		status = kms_request_check_options(request, fault);
	return status;
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
kms_request_check_options(const KmsCipherRequest *request, KmsFault *fault)
{
	if (request->jwe == NULL ||
		(request->oaep.digest == KMS_DIGEST_NONE &&
		 request->oaep.mgf1 == KMS_DIGEST_NONE && request->oaep.label == NULL))
		return kms_fault(fault, KMS_OK);
	return kms_fault_ciphertext(fault, "a JWE has no digests and no label",
								"Leave oaep_hash, mgf1_hash and label NULL: the JWE says how it is encrypted.");
}

KmsStatus
kms_request_text(FunctionCallInfo fcinfo, int n, KmsCipherRequest *request,
				 KmsFault *fault)
{
	struct varlena *value;
	KmsStatus	status = fetch_either(fcinfo, n, true, &value, request, fault);

	if (status != KMS_OK || request->jwe != NULL)
		return status;
	if (kms_encoding_decode_base64(VARDATA_ANY(value),
								   VARSIZE_ANY_EXHDR(value), &request->data,
								   &request->len))
		return kms_fault(fault, KMS_OK);
	return kms_fault_ciphertext(fault, "ciphertext is not base64",
								"A ciphertext is base64 (RFC 4648) of either alphabet, or a JWE.");
}

KmsStatus
kms_request_bytes(FunctionCallInfo fcinfo, int n, KmsCipherRequest *request,
				  KmsFault *fault)
{
	struct varlena *value;
	KmsStatus	status = fetch_either(fcinfo, n, false, &value, request, fault);

	if (status == KMS_OK && request->jwe == NULL)
		take_block(value, request);
	return status;
}

/* Fetch a block, or a JWE, which is taken. */
static KmsStatus
fetch_either(FunctionCallInfo fcinfo, int n, bool is_text,
			 struct varlena **value, KmsCipherRequest *request,
			 KmsFault *fault)
{
	Size		size = kms_args_size(fcinfo, n);
	const char *data;
	size_t		len;

	/* the larger limit comes before detoasting, its own after it */
	if (size > (Size) Max(kms_max_ciphertext_size, kms_max_jwe_size))
	{
		fault->detail = psprintf("The ciphertext has %zu bytes, the limit is %d, and %d for a JWE.",
								 size, kms_max_ciphertext_size,
								 kms_max_jwe_size);
		fault->hint = LIMITS_HINT;
		return kms_fault(fault, KMS_TOO_LARGE);
	}
	*value = PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(n));
	data = VARDATA_ANY(*value);
	len = VARSIZE_ANY_EXHDR(*value);
	if (kms_jwe_form_kind(data, len) != KMS_JWE_KIND_NONE &&
		(is_text || kms_encoding_is_ascii(data, len)))
		return take_jwe(*value, request, fault);
	return check_size("ciphertext", size, kms_max_ciphertext_size, fault);
}

KmsStatus
kms_request_jwe(FunctionCallInfo fcinfo, int n, KmsCipherRequest *request,
				KmsFault *fault)
{
	KmsStatus	status;

	status = check_size("JWE", kms_args_size(fcinfo, n), kms_max_jwe_size,
						fault);
	if (status == KMS_OK)
		status = take_jwe(PG_GETARG_TEXT_PP(n), request, fault);
	return status;
}

static KmsStatus
take_jwe(const text *value, KmsCipherRequest *request, KmsFault *fault)
{
	size_t		len = VARSIZE_ANY_EXHDR(value);
	KmsStatus	status = check_size("JWE", len, kms_max_jwe_size, fault);
	KmsJweForm *form;

	if (status != KMS_OK)
		return status;
	form = palloc(sizeof(KmsJweForm));
	status = kms_jwe_message_judge(VARDATA_ANY(value), len, form, fault);
	if (status == KMS_OK)
		request->jwe = form;
	return status;
}

KmsStatus
kms_request_block(FunctionCallInfo fcinfo, int n, KmsCipherRequest *request,
				  KmsFault *fault)
{
	KmsStatus	status;

	status = check_size("ciphertext", kms_args_size(fcinfo, n),
						kms_max_ciphertext_size, fault);
	if (status == KMS_OK)
		take_block(PG_GETARG_BYTEA_PP(n), request);
	return status;
}

static void
take_block(const bytea *value, KmsCipherRequest *request)
{
	request->data = (const unsigned char *) VARDATA_ANY(value);
	request->len = VARSIZE_ANY_EXHDR(value);
}

static KmsStatus
check_size(const char *what, Size size, int limit, KmsFault *fault)
{
	if (size <= (Size) limit)
		return kms_fault(fault, KMS_OK);
	fault->detail = psprintf("The %s has %zu bytes, the limit is %d.", what,
							 size, limit);
	fault->hint = LIMITS_HINT;
	return kms_fault(fault, KMS_TOO_LARGE);
}
