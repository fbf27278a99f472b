#include "postgres.h"

#include "access/detoast.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "api/args.h"

#include "pg/line.h"

/* Longest name of a digest that is looked up. */
#define NAME_MAX_BYTES 64

static KmsStatus take_device_id(FunctionCallInfo fcinfo, int n,
								KmsDeviceIdBuffer device_id, KmsFault *fault);

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

		/* The seal and the chain cover UTF-8. */
		if (judged == KMS_LINE_NOT_TEXT)
			return kms_fault_argument(fault,
									  psprintf("%s is not text in UTF8", name),
									  NULL, NULL);
	}
	return kms_fault_argument(fault, psprintf("invalid %s", name),
							  psprintf("The value must have 1 to %zu bytes and no " KMS_LINE_REFUSES ".", most),
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

Size
kms_args_size(FunctionCallInfo fcinfo, int n)
{
	return toast_raw_datum_size(PG_GETARG_DATUM(n)) - VARHDRSZ;
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
