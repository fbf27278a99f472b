#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/timestamp.h"

#include "pg/fault.h"

#include "pg/month.h"

static const char *expand(const char *rest, const KmsFault *fault);
static const char *value_of(const char *name, size_t len,
							const KmsFault *fault);
static const char *utc_of(TimestampTz at);
static const char *quoted(const char *value);

bool
kms_fault_is_tried(KmsStatus status)
{
	return kms_status_row(status)->kind == KMS_STATUS_OF_DATA;
}

KmsStatus
kms_fault(KmsFault *fault, KmsStatus status)
{
	fault->status = status;
	return status;
}

KmsStatus
kms_fault_argument(KmsFault *fault, const char *message, const char *detail,
				   const char *hint)
{
	fault->message = message;
	fault->detail = detail;
	fault->hint = hint;
	return kms_fault(fault, KMS_INVALID_ARGUMENT);
}

KmsStatus
kms_fault_null(KmsFault *fault, const char *message)
{
	fault->sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED;
	return kms_fault_argument(fault, message, NULL, NULL);
}

KmsStatus
kms_fault_ciphertext(KmsFault *fault, const char *message, const char *detail)
{
	fault->message = message;
	fault->detail = detail;
	return kms_fault(fault, KMS_BAD_CIPHERTEXT);
}

int
kms_fault_sqlstate(const KmsFault *fault)
{
	const char *state = kms_status_row(fault->status)->sqlstate;

	if (fault->sqlstate != 0)
		return fault->sqlstate;
	return MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
}

void
kms_fault_raise(const KmsFault *fault)
{
	const KmsStatusRow *row = kms_status_row(fault->status);
	const char *message = fault->message;
	const char *detail = fault->detail;
	const char *hint = fault->hint;

	if (message == NULL)
	{
		Assert(row->message != NULL);
		message = expand(row->message != NULL ? row->message
						 : KMS_LIBRARY_FAILED, fault);
	}
	if (detail == NULL && fault->retry_at != 0)
		detail = expand(KMS_RETRY_DETAIL, fault);
	if (hint == NULL && row->hint != NULL)
		hint = expand(row->hint, fault);
	ereport(ERROR,
			(errcode(kms_fault_sqlstate(fault)),
			 errmsg("%s", message),
			 detail != NULL ? errdetail("%s", detail) : 0,
			 hint != NULL ? errhint("%s", hint) : 0,
			 KMS_HIDE_STATEMENT));
}

/* Return "rest" with the values of "fault" for the names in braces. */
static const char *
expand(const char *rest, const KmsFault *fault)
{
	StringInfoData out;

	initStringInfo(&out);
	while (*rest != '\0')
	{
		size_t		plain = strcspn(rest, "{");

		appendBinaryStringInfo(&out, rest, plain);
		rest += plain;
		if (*rest == '{')
		{
			size_t		len = strcspn(++rest, "}");

			appendStringInfoString(&out, value_of(rest, len, fault));
			rest += len + 1;
		}
	}
	return out.data;
}

/* Return a space and the value, or nothing if it is not known. */
static const char *
value_of(const char *name, size_t len, const KmsFault *fault)
{
	if (strncmp(name, "key", len) == 0)
		return quoted(fault->key_id);
	if (strncmp(name, "device", len) == 0)
		return quoted(fault->device_id);
	if (strncmp(name, "master", len) == 0)
	{
		char		id[2 * KMS_MASTER_KEY_ID_SIZE + 1];

		kms_master_key_id_text(fault->master_key_id, id);
		return quoted(id);
	}
	if (strncmp(name, "month", len) == 0)
	{
		char		month[KMS_MONTH_SIZE];

		kms_month_of(GetCurrentTimestamp(), month);
		return quoted(month);
	}
	if (strncmp(name, "time", len) == 0)
		return psprintf(" %s", timestamptz_to_str(fault->retry_at));
	if (strncmp(name, "utc", len) == 0)
		return utc_of(fault->retry_at);
	elog(ERROR, "unknown value in the text of a status");
}

/*
 * Return a space and the time, rounded up to a second, because a retry must
 * not come too early.
 */
static const char *
utc_of(TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		fsec;

	at += USECS_PER_SEC - 1;
	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "time out of range");
	return psprintf(" %04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year, tm.tm_mon,
					tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static const char *
quoted(const char *value)
{
	return value != NULL ? psprintf(" \"%s\"", value) : "";
}
