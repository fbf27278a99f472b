#include "postgres.h"

#include "utils/timestamp.h"

#include "pg/fault.h"
#include "pg/month.h"
#include "pg/settings.h"

#define ERRCODE_KMS_REJECTED		MAKE_SQLSTATE('K', 'M', '0', '0', '1')
#define ERRCODE_KMS_KEY_NOT_FOUND	MAKE_SQLSTATE('K', 'M', '0', '0', '2')
#define ERRCODE_KMS_KEY_EXPIRED		MAKE_SQLSTATE('K', 'M', '0', '0', '3')
#define ERRCODE_KMS_KEY_STATE		MAKE_SQLSTATE('K', 'M', '0', '0', '4')
#define ERRCODE_KMS_RATE_LIMITED	MAKE_SQLSTATE('K', 'M', '0', '0', '5')
#define ERRCODE_KMS_TOO_LARGE		MAKE_SQLSTATE('K', 'M', '0', '0', '6')
#define ERRCODE_KMS_NO_MASTER_KEY	MAKE_SQLSTATE('K', 'M', '0', '0', '7')
#define ERRCODE_KMS_NOT_AUDITED		MAKE_SQLSTATE('K', 'M', '0', '0', '8')
#define ERRCODE_KMS_LOCKED_OUT		MAKE_SQLSTATE('K', 'M', '0', '0', '9')

static const char *key_state_word(KmsStatus status);
static void report_message(const KmsFault *fault);
static void report_hint(const KmsFault *fault);

bool
kms_fault_is_tried(KmsStatus status)
{
	switch (status)
	{
		case KMS_REJECTED:
		case KMS_BAD_LENGTH:
		case KMS_BAD_CIPHERTEXT:
		case KMS_KEY_NOT_FOUND:
		case KMS_KEY_EXPIRED:
		case KMS_KEY_DISABLED:
		case KMS_KEY_REVOKED:
		case KMS_KEY_PENDING_DELETION:
		case KMS_KEY_DEPRECATED:
		case KMS_TOO_LARGE:
		case KMS_NOT_AUTHENTIC:
		case KMS_NOT_TEXT:
			return true;
		default:
			return false;
	}
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
kms_fault_ciphertext(KmsFault *fault, const char *message, const char *detail,
					 const char *hint)
{
	fault->message = message;
	fault->detail = detail;
	fault->hint = hint;
	return kms_fault(fault, KMS_BAD_CIPHERTEXT);
}

int
kms_fault_sqlstate(const KmsFault *fault)
{
	switch (fault->status)
	{
		case KMS_REJECTED:
			return ERRCODE_KMS_REJECTED;
		case KMS_KEY_NOT_FOUND:
			return ERRCODE_KMS_KEY_NOT_FOUND;
		case KMS_KEY_EXPIRED:
			return ERRCODE_KMS_KEY_EXPIRED;
		case KMS_KEY_DISABLED:
		case KMS_KEY_REVOKED:
		case KMS_KEY_PENDING_DELETION:
		case KMS_KEY_DEPRECATED:
		case KMS_WRONG_STATE:
			return ERRCODE_KMS_KEY_STATE;
		case KMS_RATE_LIMITED:
			return ERRCODE_KMS_RATE_LIMITED;
		case KMS_TOO_LARGE:
			return ERRCODE_KMS_TOO_LARGE;
		case KMS_NO_MASTER_KEY:
		case KMS_OTHER_MASTER_KEY:
		case KMS_NO_EPOCH_KEY:
			return ERRCODE_KMS_NO_MASTER_KEY;
		case KMS_NOT_AUTHENTIC:
		case KMS_NO_PEPPER:
			return ERRCODE_DATA_CORRUPTED;
		case KMS_NOT_TEXT:
			return ERRCODE_CHARACTER_NOT_IN_REPERTOIRE;
		case KMS_LOCKED_OUT:
			return ERRCODE_KMS_LOCKED_OUT;
		case KMS_NOT_AUDITED:
			return ERRCODE_KMS_NOT_AUDITED;
		case KMS_NO_TLS:
			return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		case KMS_INVALID_ARGUMENT:
		case KMS_BAD_CIPHERTEXT:
		case KMS_BAD_LENGTH:
		case KMS_TOO_LONG:
		case KMS_BAD_FORMAT:
			return fault->sqlstate != 0 ? fault->sqlstate
				: ERRCODE_INVALID_PARAMETER_VALUE;
		case KMS_INTERRUPTED:
			return ERRCODE_QUERY_CANCELED;
		case KMS_NO_MEMORY:
			return ERRCODE_OUT_OF_MEMORY;
		default:
			return ERRCODE_INTERNAL_ERROR;
	}
}

void
kms_fault_raise(const KmsFault *fault)
{
	errstart(ERROR, TEXTDOMAIN);
	errcode(kms_fault_sqlstate(fault));
	report_message(fault);
	if (fault->detail != NULL)
		errdetail("%s", fault->detail);
	report_hint(fault);
	errhidestmt(true);
	errhidecontext(true);
	errfinish(__FILE__, __LINE__, __func__);
	pg_unreachable();
}

void
kms_fault_too_many_databases(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("too many databases of this server use kms"),
			 errdetail_plural("%d database is served already.",
							  "%d databases are served already.",
							  kms_max_databases, kms_max_databases),
			 errhint("Raise kms.max_databases in postgresql.conf and restart the server."),
			 KMS_HIDE_STATEMENT));
}

static const char *
key_state_word(KmsStatus status)
{
	switch (status)
	{
		case KMS_KEY_DISABLED:
			return "disabled";
		case KMS_KEY_REVOKED:
			return "revoked";
		case KMS_KEY_PENDING_DELETION:
			return "pending deletion";
		default:
			return "deprecated";
	}
}

static void
report_message(const KmsFault *fault)
{
	char		master[2 * KMS_MASTER_KEY_ID_SIZE + 1];
	char		month[KMS_MONTH_SIZE];
	const char *key_id = fault->key_id != NULL ? fault->key_id : "";

	switch (fault->status)
	{
		case KMS_REJECTED:
			errmsg("failed to decrypt data");
			break;
		case KMS_KEY_NOT_FOUND:
			if (fault->key_id != NULL)
				errmsg("encryption key \"%s\" not found", key_id);
			else
				errmsg("encryption key not found");
			break;
		case KMS_KEY_EXPIRED:
			errmsg("encryption key \"%s\" has expired", key_id);
			break;
		case KMS_KEY_DISABLED:
		case KMS_KEY_REVOKED:
		case KMS_KEY_PENDING_DELETION:
		case KMS_KEY_DEPRECATED:
			errmsg("encryption key \"%s\" is %s", key_id,
				   key_state_word(fault->status));
			break;
		case KMS_RATE_LIMITED:
			errmsg("rate limit for key generation exceeded for device \"%s\"",
				   fault->device_id != NULL ? fault->device_id : "");
			break;
		case KMS_TOO_LARGE:
			errmsg("encrypted data size exceeds limit");
			break;
		case KMS_NO_MASTER_KEY:
			errmsg("master key is not available");
			break;
		case KMS_NO_EPOCH_KEY:
			kms_month_of(GetCurrentTimestamp(), month);
			errmsg("no master key is labelled \"%s\", the month in which this key is made",
				   month);
			break;
		case KMS_OTHER_MASTER_KEY:
			kms_master_key_id_text(fault->master_key_id, master);
			if (fault->message != NULL)
				errmsg("%s", fault->message);
			else
				errmsg("key \"%s\" was wrapped under master key \"%s\", which this server does not have",
					   key_id, master);
			break;
		case KMS_NOT_AUTHENTIC:
			if (fault->message != NULL)
				errmsg("%s", fault->message);
			else
				errmsg("stored key \"%s\" does not authenticate", key_id);
			break;
		case KMS_LOCKED_OUT:
			errmsg("too many failed attempts");
			break;
		case KMS_NOT_AUDITED:
			errmsg("operation could not be audited");
			break;
		case KMS_NO_TLS:
			errmsg("plaintext is returned over TLS only");
			break;
		case KMS_NOT_TEXT:
			errmsg("decrypted data is not text in the database's encoding");
			break;
		case KMS_INTERRUPTED:
			errmsg("canceling key generation");
			break;
		case KMS_NO_MEMORY:
			errmsg("out of memory");
			break;
		default:
			if (fault->message != NULL)
				errmsg("%s", fault->message);
			else
				errmsg("cryptographic library failed");
			break;
	}
}

static void
report_hint(const KmsFault *fault)
{
	if (fault->hint != NULL)
		errhint("%s", fault->hint);
	else if (fault->status == KMS_RATE_LIMITED ||
			 fault->status == KMS_LOCKED_OUT)
		errhint("Try again after %s.", timestamptz_to_str(fault->retry_at));
	else if (fault->status == KMS_NO_MASTER_KEY)
		errhint("Set kms.master_key_file or kms.master_key_command in postgresql.conf and reload the server; kms_check(), kms_master_key_status() and the server log say what is wrong.");
	else if (fault->status == KMS_NO_EPOCH_KEY)
		errhint("kms.master_key_epochs is on: add a line with that label, a colon and a new key of 64 hexadecimal digits to the master keys, and reload the server.");
	else if (fault->status == KMS_OTHER_MASTER_KEY)
		errhint("Add that master key to what kms.master_key_file or kms.master_key_command gives, below the current one, and reload the server.");
	else if (fault->status == KMS_NOT_AUTHENTIC)
		errhint("The row was changed behind the extension's back; restore it from a backup, or delete the key with kms_destroy_key().");
	else if (fault->status == KMS_NOT_TEXT)
		errhint("Use kms_decrypt_bytea() for binary data.");
	else if (fault->status == KMS_NO_TLS)
		errhint("Connect with TLS (sslmode=verify-full), or through a local socket.");
	else if (fault->status == KMS_NO_MEMORY)
		errhint("Lower kms.key_cache_size, or raise the memory-lock limit of the server.");
}
