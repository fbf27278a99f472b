#include "postgres.h"

#include "access/detoast.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "api/args.h"

#include "keys/field_key.h"
#include "pg/line.h"

/* Longest name of a digest that is looked up. */
#define NAME_MAX_BYTES 64

/* No encoding makes a text longer than UTF-8 does by this factor. */
#define SHRINKS		2

static KmsStatus take_utf8(FunctionCallInfo fcinfo, int n, const char *name,
						   size_t least, size_t most, KmsFieldData *data,
						   KmsFault *fault);
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
							  "A key id has 1 to 128 characters out of A-Z, a-z, 0-9 and _ . - / + = : { } # @.",
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

KmsStatus
kms_args_field_name(FunctionCallInfo fcinfo, int n, KmsFieldNameBuffer name,
					KmsFault *fault)
{
	text	   *value;
	size_t		len;

	if (PG_ARGISNULL(n))
		return kms_fault_null(fault, "field key must not be null");
	if (kms_args_size(fcinfo, n) <= KMS_FIELD_NAME_MAX)
	{
		value = PG_GETARG_TEXT_PP(n);
		len = VARSIZE_ANY_EXHDR(value);
		if (kms_field_key_is_name(VARDATA_ANY(value), len))
		{
			memcpy(name, VARDATA_ANY(value), len);
			name[len] = '\0';
			return kms_fault(fault, KMS_OK);
		}
	}
	return kms_fault(fault, KMS_FIELD_KEY_NOT_FOUND);
}

KmsStatus
kms_args_context(FunctionCallInfo fcinfo, int n, KmsFieldData *context,
				 KmsFault *fault)
{
	if (PG_ARGISNULL(n))
	{
		fault->hint = "The context is a constant name of the column and a row key that never changes. It is NULL if any part of it is.";
		fault->sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED;
		fault->message = "context must not be null";
		return kms_fault(fault, KMS_INVALID_ARGUMENT);
	}
	return take_utf8(fcinfo, n, "context", 0, KMS_FIELD_CONTEXT_MAX, context,
					 fault);
}

KmsStatus
kms_args_scope(FunctionCallInfo fcinfo, int n, KmsFieldData *scope,
			   KmsFault *fault)
{
	if (PG_ARGISNULL(n))
		return kms_fault_null(fault, "scope must not be null");
	return take_utf8(fcinfo, n, "scope", 1, KMS_BLIND_INDEX_SCOPE_MAX, scope,
					 fault);
}

/*
 * No conversion of PostgreSQL's may raise the error, because that would show
 * the bytes, which may be a secret that was passed by mistake.
 */
static KmsStatus
take_utf8(FunctionCallInfo fcinfo, int n, const char *name, size_t least,
		  size_t most, KmsFieldData *data, KmsFault *fault)
{
	unsigned char *copy;
	text	   *value;
	KmsStatus	status;

	if (kms_args_size(fcinfo, n) <= SHRINKS * most)
	{
		value = PG_GETARG_TEXT_PP(n);
		data->data = (const unsigned char *) VARDATA_ANY(value);
		data->len = VARSIZE_ANY_EXHDR(value);
		status = kms_field_to_utf8(name, data, &copy, fault);
		if (status != KMS_OK || (data->len >= least && data->len <= most))
			return status;
	}
	return kms_fault_argument(fault, psprintf("invalid %s", name),
							  psprintf("The text must have %zu to %zu bytes in UTF8.",
									   least, most),
							  NULL);
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
							  "Use sha1, sha224, sha256, sha384, sha512, sha512-224 or sha512-256, in lower case; leave it NULL for a key that is not RSA.");
}
