#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crypto/master_key.h"

#include "crypto/kdf.h"

#define HEX_DIGITS	(2 * KMS_MASTER_KEY_SIZE)

static const char fingerprint_domain[] = "kms/master-key-id/v1";

static const char *parse_line(const char *line, size_t len,
							  KmsMasterKeys *keys, bool *library_failed);
static const char *parse_label(const char *label, size_t len,
							   KmsMasterKey *key);
static bool is_label_character(char c);
static bool parse_hex(const char *hex, size_t len, unsigned char *out);
static int	hex_value(char c);
static bool is_one_byte_repeated(const unsigned char *key);
static bool fingerprint(KmsMasterKey *key);
static const char *check_new(const KmsMasterKeys *keys,
							 const KmsMasterKey *key);
static size_t skip_blanks(const char *text, size_t len);

KmsStatus
kms_master_key_parse(const char *text, size_t len, KmsMasterKeys *keys,
					 int *line, const char **why)
{
	KmsStatus	status = KMS_BAD_FORMAT;
	bool		library_failed = false;
	size_t		start;
	size_t		end;

	OPENSSL_cleanse(keys, sizeof(*keys));
	*line = 0;
	*why = NULL;

	for (start = 0; start < len; start = end + 1)
	{
		size_t		line_len;

		for (end = start; end < len && text[end] != '\n'; end++)
			;
		line_len = end - start;
		if (line_len > 0 && text[end - 1] == '\r')
			line_len--;

		(*line)++;
		*why = parse_line(text +start, line_len, keys, &library_failed);
		if (*why != NULL)
			goto done;
	}

	*line = 0;
	if (keys->count == 0)
	{
		*why = "no key";
		goto done;
	}
	status = KMS_OK;

done:
	if (library_failed)
		status = KMS_FAILED;
	if (status != KMS_OK)
		OPENSSL_cleanse(keys, sizeof(*keys));
	return status;
}

/*
 * Parse one line without its end.  Return the reason if it is wrong, otherwise
 * NULL.
 */
static const char *
parse_line(const char *line, size_t len, KmsMasterKeys *keys,
		   bool *library_failed)
{
	KmsMasterKey key;
	const char *colon;
	const char *why = NULL;
	size_t		skip;

	memset(&key, 0, sizeof(key));
	skip = skip_blanks(line, len);
	line += skip;
	len -= skip;
	if (len > 0 && memchr(line, '\0', len) != NULL)
	{
		why = "a zero byte";
		goto done;
	}
	if (len == 0 || line[0] == '#')
		goto done;

	colon = memchr(line, ':', len);
	if (colon != NULL)
	{
		why = parse_label(line, (size_t) (colon - line), &key);
		if (why != NULL)
			goto done;
		len -= (size_t) (colon + 1 - line);
		line = colon + 1;
		skip = skip_blanks(line, len);
		line += skip;
		len -= skip;
	}

	if (!parse_hex(line, len, key.key))
	{
		why = "not 64 hexadecimal digits";
		goto done;
	}
	if (is_one_byte_repeated(key.key))
	{
		why = "a key of one byte repeated";
		goto done;
	}
	if (!fingerprint(&key))
	{
		*library_failed = true;
		why = "the cryptographic library failed";
		goto done;
	}
	why = check_new(keys, &key);
	if (why != NULL)
		goto done;
	keys->keys[keys->count++] = key;

done:
	OPENSSL_cleanse(&key, sizeof(key));
	return why;
}

static const char *
parse_label(const char *label, size_t len, KmsMasterKey *key)
{
	size_t		i;

	if (len < 1)
		return "an empty label";
	if (len >= KMS_MASTER_KEY_LABEL)
		return "a label of more than 32 characters";
	for (i = 0; i < len; i++)
	{
		if (!is_label_character(label[i]))
			return "a label with a character other than A-Z a-z 0-9 _ . -";
	}
	memcpy(key->label, label, len);
	key->label[len] = '\0';
	return NULL;
}

static bool
is_label_character(char c)
{
	return (c >= 'A' && c <= 'Z') ||
		(c >= 'a' && c <= 'z') ||
		(c >= '0' && c <= '9') ||
		c == '_' || c == '.' || c == '-';
}

static bool
parse_hex(const char *hex, size_t len, unsigned char *out)
{
	size_t		i;

	if (len != HEX_DIGITS)
		return false;
	for (i = 0; i < KMS_MASTER_KEY_SIZE; i++)
	{
		int			high = hex_value(hex[2 * i]);
		int			low = hex_value(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (unsigned char) (high << 4 | low);
	}
	return true;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* A broken generator or an example file produces all zeros. */
static bool
is_one_byte_repeated(const unsigned char *key)
{
	return memcmp(key, key + 1, KMS_MASTER_KEY_SIZE - 1) == 0;
}

static bool
fingerprint(KmsMasterKey *key)
{
	unsigned char mac[KMS_HMAC_SIZE];
	bool		ok;

	ok = kms_kdf_hmac_sha256(key->key, KMS_MASTER_KEY_SIZE,
							 fingerprint_domain, sizeof(fingerprint_domain) - 1,
							 NULL, 0, mac);
	if (ok)
		memcpy(key->id, mac, KMS_MASTER_KEY_ID_SIZE);
	OPENSSL_cleanse(mac, sizeof(mac));
	return ok;
}

static const char *
check_new(const KmsMasterKeys *keys, const KmsMasterKey *key)
{
	if (kms_master_key_find(keys, key->id) != NULL)
		return "the same key twice";
	if (key->label[0] != '\0' &&
		kms_master_key_labelled(keys, key->label) != NULL)
		return "the same label twice";
	if (keys->count >= KMS_MASTER_KEYS_MAX)
		return "more than 64 keys";
	return NULL;
}

static size_t
skip_blanks(const char *text, size_t len)
{
	size_t		i;

	for (i = 0; i < len && (text[i] == ' ' || text[i] == '\t'); i++)
		;
	return i;
}

const KmsMasterKey *
kms_master_key_find(const KmsMasterKeys *keys, const unsigned char *id)
{
	int			i;

	for (i = 0; i < keys->count; i++)
	{
		if (memcmp(keys->keys[i].id, id, KMS_MASTER_KEY_ID_SIZE) == 0)
			return &keys->keys[i];
	}
	return NULL;
}

const KmsMasterKey *
kms_master_key_labelled(const KmsMasterKeys *keys, const char *label)
{
	int			i;

	for (i = 0; i < keys->count; i++)
	{
		if (strcmp(keys->keys[i].label, label) == 0)
			return &keys->keys[i];
	}
	return NULL;
}

void
kms_master_key_id_text(const unsigned char *id, char *out)
{
	int			i;

	for (i = 0; i < KMS_MASTER_KEY_ID_SIZE; i++)
		snprintf(out + 2 * i, 3, "%02x", id[i]);
}
