#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/key_id.h"

#define UNIX_MS_MAX			INT64_C(9999999999999)	/* 13 digits */

static bool consists_of(const char *id, size_t len, const char *marks);
static bool is_alphanumeric(char c);

bool
kms_key_id_valid(const char *id, size_t len)
{
	return len >= 1 && len <= KMS_KEY_ID_MAX &&
		consists_of(id, len, "_.-/+=:{}#@");
}

bool
kms_key_id_valid_service(const char *id, size_t len)
{
	return len >= 1 && len <= KMS_SERVICE_ID_MAX &&
		consists_of(id, len, "_.-");
}

/* Return true if all characters are alphanumeric or one of these marks. */
static bool
consists_of(const char *id, size_t len, const char *marks)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		if (!is_alphanumeric(id[i]) &&
			(id[i] == '\0' || strchr(marks, id[i]) == NULL))
			return false;
	}
	return true;
}

/* Do not use isalnum, because it depends on the locale. */
static bool
is_alphanumeric(char c)
{
	return (c >= 'A' && c <= 'Z') ||
		(c >= 'a' && c <= 'z') ||
		(c >= '0' && c <= '9');
}

bool
kms_key_id_made(const char *id)
{
	const char *const digits = "0123456789";
	const char *const hex = "0123456789abcdef";

	return strlen(id) == KMS_KEY_ID_MADE && strncmp(id, "key_", 4) == 0 &&
		strspn(id + 4, digits) == 13 && id[17] == '_' &&
		strspn(id + 18, hex) == KMS_ID_RANDOM;
}

KmsStatus
kms_key_id_make(int64_t unix_ms, char *out)
{
	char		prefix[KMS_KEY_ID_MADE - KMS_ID_RANDOM + 1];

	out[0] = '\0';
	if (unix_ms < 0 || unix_ms > UNIX_MS_MAX)
		return KMS_BAD_FORMAT;
	snprintf(prefix, sizeof(prefix), "key_%013lld_", (long long) unix_ms);
	return kms_key_id_make_prefixed(prefix, out);
}

KmsStatus
kms_key_id_make_prefixed(const char *prefix, char *out)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char random[KMS_ID_RANDOM / 2];
	KmsStatus	status = KMS_FAILED;
	char	   *p;
	size_t		i;

	ERR_clear_error();
	out[0] = '\0';
	if (RAND_bytes(random, sizeof(random)) != 1)
		goto done;

	p = out + strlen(prefix);
	memcpy(out, prefix, strlen(prefix));
	for (i = 0; i < sizeof(random); i++)
	{
		*p++ = hex[random[i] >> 4];
		*p++ = hex[random[i] & 0x0f];
	}
	*p = '\0';
	status = KMS_OK;

done:
	ERR_clear_error();
	return status;
}
