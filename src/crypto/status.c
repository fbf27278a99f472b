#include <stddef.h>

#include "crypto/status.h"

const char *
kms_status_reason(KmsStatus status)
{
	switch (status)
	{
		case KMS_OK:
			return NULL;
		case KMS_UNCHANGED:
			return "No change";
		case KMS_REJECTED:
			return "Failed to decrypt data";
		case KMS_KEY_NOT_FOUND:
			return "Encryption key not found";
		case KMS_KEY_EXPIRED:
			return "Encryption key has expired";
		case KMS_KEY_DISABLED:
			return "Encryption key is disabled";
		case KMS_KEY_REVOKED:
			return "Encryption key is revoked";
		case KMS_KEY_PENDING_DELETION:
			return "Encryption key is pending deletion";
		case KMS_KEY_DEPRECATED:
			return "Encryption key is deprecated";
		case KMS_WRONG_STATE:
			return "Encryption key is in another state";
		case KMS_RATE_LIMITED:
			return "Rate limit for key generation exceeded";
		case KMS_TOO_LARGE:
			return "Encrypted data size exceeds limit";
		case KMS_NO_MASTER_KEY:
		case KMS_OTHER_MASTER_KEY:
		case KMS_NO_EPOCH_KEY:
			return "Master key is not available";
		case KMS_NOT_AUTHENTIC:
			return "Stored key does not authenticate";
		case KMS_NOT_TEXT:
			return "Plaintext is not text";
		case KMS_MISMATCH:
			return "Secret does not match";
		case KMS_LOCKED_OUT:
			return "Too many failed attempts";
		case KMS_NO_PEPPER:
			return "Stored pepper not found";
		case KMS_NO_TLS:
			return "TLS is required";
		case KMS_NOT_AUDITED:
			return "Operation could not be audited";
		case KMS_INVALID_ARGUMENT:
		case KMS_BAD_CIPHERTEXT:
		case KMS_BAD_LENGTH:
		case KMS_TOO_LONG:
		case KMS_BAD_FORMAT:
			return "Invalid argument";
		case KMS_ROLLED_BACK:
			return "Rolled back";
		case KMS_UNFINISHED:
		case KMS_INTERRUPTED:
			return "Interrupted";
		case KMS_BAD_KEY:
		case KMS_NO_MEMORY:
		case KMS_FAILED:
			return "Internal error";
	}
	return "Internal error";
}

bool
kms_status_is_success(KmsStatus status)
{
	return status == KMS_OK || status == KMS_UNCHANGED;
}
