#include "postgres.h"

#include "access/detoast.h"
#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "pg/compat.h"
#include "pg/line.h"
#include "pg/settings.h"

/* Longer names of digests and the like are not looked at. */
#define NAME_MAX_BYTES 64

/* OAEP hashes the label, whatever its length; a bound keeps it from being one. */
#define LABEL_MAX_BYTES 4096

static KmsStatus take_device_id(FunctionCallInfo fcinfo, int n,
								KmsDeviceIdBuffer device_id, KmsFault *fault);
static KmsStatus check_size(FunctionCallInfo fcinfo, int n, KmsFault *fault);

KmsStatus
kms_args_key_id(FunctionCallInfo fcinfo, int n, KmsKeyIdBuffer key_id,
				KmsFault *fault)
{
	text	   *value;
	size_t		len;

	if (PG_ARGISNULL(n))
		return kms_fault_null(fault, "key id must not be null");
	if (kms_args_size(fcinfo, n) <= KMS_KEY_ID_MAX)
	{
		value = PG_GETARG_TEXT_PP(n);
		len = VARSIZE_ANY_EXHDR(value);
		if (kms_key_id_valid(VARDATA_ANY(value), len))
		{
			memcpy(key_id, VARDATA_ANY(value), len);
			key_id[len] = '\0';
			return kms_fault(fault, KMS_OK);
		}
	}
	return kms_fault_argument(fault, "malformed key id",
							  "A key id has 1 to 64 characters out of A-Z, a-z, 0-9, \"_\", \".\" and \"-\".",
							  "Check the order of the arguments: the key id comes first.");
}

KmsStatus
kms_args_device_id(FunctionCallInfo fcinfo, int n, KmsDeviceIdBuffer device_id,
				   KmsFault *fault)
{
	if (PG_ARGISNULL(n))
		return kms_fault_null(fault, "device id must not be null");
	return take_device_id(fcinfo, n, device_id, fault);
}

KmsStatus
kms_args_optional_device_id(FunctionCallInfo fcinfo, int n,
							KmsDeviceIdBuffer device_id, bool *given,
							KmsFault *fault)
{
	*given = !PG_ARGISNULL(n);
	if (!*given)
		return kms_fault(fault, KMS_OK);
	return take_device_id(fcinfo, n, device_id, fault);
}

KmsStatus
kms_args_line(FunctionCallInfo fcinfo, int n, const char *name, size_t most,
			  char **value, KmsFault *fault)
{
	*value = NULL;
	if (PG_ARGISNULL(n))
		return kms_fault(fault, KMS_OK);
	if (kms_args_size(fcinfo, n) <= most)
	{
		char	   *given = text_to_cstring(PG_GETARG_TEXT_PP(n));
		KmsLine		judged = kms_line_judge(given, strlen(given));

		if (*given != '\0' && judged == KMS_LINE_OK)
		{
			*value = given;
			return kms_fault(fault, KMS_OK);
		}

		/* what is sealed and chained is UTF-8 */
		if (judged == KMS_LINE_NOT_TEXT)
			return kms_fault_argument(fault,
									  psprintf("%s is not text in UTF8", name),
									  NULL, NULL);
	}
	return kms_fault_argument(fault, psprintf("invalid %s", name),
							  psprintf("It has 1 to %zu bytes and no " KMS_LINE_REFUSES ".", most),
							  NULL);
}

KmsStatus
kms_args_reason(FunctionCallInfo fcinfo, int n, char **reason, KmsFault *fault)
{
	*reason = NULL;
	if (PG_ARGISNULL(n))
		return kms_fault_null(fault, "reason must not be null");
	return kms_args_line(fcinfo, n, "reason", KMS_REASON_MAX, reason, fault);
}

KmsStatus
kms_args_oaep(FunctionCallInfo fcinfo, int n, KmsOaep *oaep, KmsFault *fault)
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
								  psprintf("It may have %d bytes.", LABEL_MAX_BYTES),
								  NULL);
	{
		bytea	   *label = PG_GETARG_BYTEA_PP(n + 2);

		oaep->label = (const unsigned char *) VARDATA_ANY(label);
		oaep->label_len = VARSIZE_ANY_EXHDR(label);
	}
	return status;
}

KmsStatus
kms_args_key(FunctionCallInfo fcinfo, int n, KmsCall *call,
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
kms_args_options(FunctionCallInfo fcinfo, int n, KmsCipherRequest *request,
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
	return kms_args_oaep(fcinfo, n + 1, &request->oaep, fault);
}

Size
kms_args_size(FunctionCallInfo fcinfo, int n)
{
	return toast_raw_datum_size(PG_GETARG_DATUM(n)) - VARHDRSZ;
}

KmsStatus
kms_args_base64(FunctionCallInfo fcinfo, int n, const unsigned char **data,
				size_t *len, KmsFault *fault)
{
	KmsStatus	status = check_size(fcinfo, n, fault);
	text	   *value;

	if (status != KMS_OK)
		return status;
	value = PG_GETARG_TEXT_PP(n);
	if (kms_args_decode(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), data, len))
		return kms_fault(fault, KMS_OK);
	return kms_fault_ciphertext(fault, "ciphertext is not base64", NULL,
								"Send the ciphertext in base64 (RFC 4648), of either alphabet.");
}

bool
kms_args_decode(const char *in, size_t in_len, const unsigned char **data,
				size_t *len)
{
	char	   *normal = palloc(in_len + 4);
	unsigned char *out;
	size_t		normal_len;
	int			out_len;

	if (kms_base64_normalize(in, in_len, normal, &normal_len) != KMS_OK)
		return false;
	out = palloc(pg_b64_dec_len(normal_len) + 1);
	out_len = pg_b64_decode(normal, normal_len, (KmsBase64Byte *) out,
							pg_b64_dec_len(normal_len));
	if (out_len < 0)
		return false;
	*data = out;
	*len = out_len;
	return true;
}

KmsStatus
kms_args_ciphertext(FunctionCallInfo fcinfo, int n, const unsigned char **data,
					size_t *len, KmsFault *fault)
{
	KmsStatus	status = check_size(fcinfo, n, fault);
	bytea	   *value;

	if (status != KMS_OK)
		return status;
	value = PG_GETARG_BYTEA_PP(n);
	*data = (const unsigned char *) VARDATA_ANY(value);
	*len = VARSIZE_ANY_EXHDR(value);
	return status;
}

static KmsStatus
take_device_id(FunctionCallInfo fcinfo, int n, KmsDeviceIdBuffer device_id,
			   KmsFault *fault)
{
	char	   *value;
	KmsStatus	status;

	status = kms_args_line(fcinfo, n, "device id", KMS_DEVICE_ID_MAX, &value,
						   fault);
	if (status == KMS_OK)
		strlcpy(device_id, value, KMS_DEVICE_ID_MAX + 1);
	return status;
}

KmsStatus
kms_args_digest(FunctionCallInfo fcinfo, int n, const char *name,
				KmsDigest *digest, KmsFault *fault)
{
	if (PG_ARGISNULL(n))
		return kms_fault(fault, KMS_OK);
	if (kms_args_size(fcinfo, n) <= NAME_MAX_BYTES)
	{
		*digest = kms_digest_by_name(text_to_cstring(PG_GETARG_TEXT_PP(n)));
		if (*digest != KMS_DIGEST_NONE)
			return kms_fault(fault, KMS_OK);
	}
	return kms_fault_argument(fault, psprintf("unknown digest for %s", name),
							  NULL,
							  "Use sha1, sha224, sha256, sha384, sha512, sha512-224 or sha512-256.");
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
