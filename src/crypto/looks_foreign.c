#include "crypto/jwe_form.h"
#include "crypto/key_id.h"
#include "crypto/looks_family.h"

#define JWE_DOTS	4			/* RFC 7516, 3.1 */
#define JWS_DOTS	2			/* RFC 7515, 3.1 */
#define HEADER_MIN	10			/* least characters of the first part */

/* A mark from which nothing follows but the name of its maker. */
typedef struct Mark
{
	const char *start;
	KmsLooks	looks;
} Mark;

static const Mark marks[] = {
	{"$ANSIBLE_VAULT;", KMS_LOOKS_ANSIBLE},
	{"ENC[PKCS7,", KMS_LOOKS_EYAML},
	{"ENC[GPG,", KMS_LOOKS_EYAML},
	{"ENC[AES256_GCM,", KMS_LOOKS_SOPS},
	{"age-encryption.org/", KMS_LOOKS_AGE},
	{"-----BEGIN AGE ENCRYPTED FILE-----", KMS_LOOKS_AGE},
	{"-----BEGIN PGP MESSAGE-----", KMS_LOOKS_PGP},
	{"sm://", KMS_LOOKS_REFERENCE}, /* Spring Cloud GCP */
	{"op://", KMS_LOOKS_REFERENCE}, /* 1Password */
	{"arn:aws:", KMS_LOOKS_REFERENCE},
	{"{{resolve:", KMS_LOOKS_REFERENCE},	/* AWS CloudFormation */
	{"@Microsoft.KeyVault(", KMS_LOOKS_REFERENCE},
	{"ssh-", KMS_LOOKS_KEY}
};

static bool is_hash(const char *in, size_t len);
static bool is_key_id(const char *in, size_t len);
static KmsLooks take_prefix(const char *in, size_t len,
							KmsLooksUndone *undone);
static size_t skip_bearer(const char *in, size_t len);
static size_t skip_word(const char *in, size_t len, const char *word);
static size_t skip_vault(const char *in, size_t len);
static size_t skip_spring(const char *in, size_t len);
static KmsLooks take_pem(const char *in, size_t len, KmsLooksUndone *undone);
static size_t skip_pem_line(const char *in, size_t len, bool *is_key);
static KmsLooks take_compact(const char *in, size_t len,
							 KmsLooksUndone *undone);
static bool has_header(const char *in, size_t len);
static char to_url(char digit);

KmsLooks
kms_looks_foreign(const char *in, size_t len, KmsLooksUndone *undone)
{
	KmsLooks	looks;
	size_t		i;

	for (i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
	{
		if (kms_looks_begins(in, len, marks[i].start))
			return marks[i].looks;
	}
	if (is_hash(in, len))
		return KMS_LOOKS_HASH;
	if (is_key_id(in, len))
		return KMS_LOOKS_KEY_ID;
	if (kms_looks_begins(in, len, "-----BEGIN "))
		return take_pem(in, len, undone);
	looks = take_prefix(in, len, undone);
	if (looks != KMS_LOOKS_PLAIN)
		return looks;
	return take_compact(in, len, undone);
}

/* Return true for "$", the name of a method, "$": crypt(5), PHC strings. */
static bool
is_hash(const char *in, size_t len)
{
	size_t		i;

	if (len < 2 || in[0] != '$' || in[1] == '$')
		return false;
	for (i = 1; i < len && in[i] != '$'; i++)
	{
		if (!kms_looks_is_base64(in[i]))
			return false;
	}
	return i < len;
}

static bool
is_key_id(const char *in, size_t len)
{
	char		id[KMS_KEY_ID_MADE + 1];

	if (len != KMS_KEY_ID_MADE)
		return false;
	memcpy(id, in, len);
	id[len] = '\0';
	return kms_key_id_made(id);
}

static KmsLooks
take_prefix(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		at;

	at = skip_bearer(in, len);
	if (at > 0)
		return kms_looks_leave(KMS_LOOKS_BEARER, in + at, len - at, undone);
	at = skip_vault(in, len);
	if (at > 0)
		return kms_looks_leave(KMS_LOOKS_VAULT, in + at, len - at, undone);
	at = skip_spring(in, len);
	if (at > 0)
		return kms_looks_leave(KMS_LOOKS_SPRING, in + at, len - at, undone);
	if (kms_looks_begins(in, len, "ENC(") && in[len - 1] == ')')
		return kms_looks_leave(KMS_LOOKS_JASYPT, in + 4, len - 5, undone);
	at = kms_looks_find(in, len, ",");
	if (kms_looks_begins(in, len, "data:") && at < len)
		return kms_looks_leave(KMS_LOOKS_DATA_URL, in + at + 1, len - at - 1,
							   undone);
	if (kms_looks_begins(in, len, "base64:") ||
		kms_looks_begins(in, len, "base64,"))
		return kms_looks_leave(KMS_LOOKS_BASE64_PREFIX, in + 7, len - 7,
							   undone);
	if (kms_looks_begins(in, len, "b64:"))
		return kms_looks_leave(KMS_LOOKS_BASE64_PREFIX, in + 4, len - 4,
							   undone);
	return KMS_LOOKS_PLAIN;
}

/* Return the length of "Authorization: Bearer " or "Bearer ", or 0. */
static size_t
skip_bearer(const char *in, size_t len)
{
	size_t		start = skip_word(in, len, "authorization:");
	size_t		bearer = skip_word(in + start, len - start, "bearer");

	return bearer > 0 && kms_looks_is_space(in[start + bearer - 1])
		? start + bearer : 0;
}

/*
 * Return the length of a word of letters in any case, with the white space
 * after it, or 0.
 */
static size_t
skip_word(const char *in, size_t len, const char *word)
{
	size_t		at;

	for (at = 0; word[at] != '\0'; at++)
	{
		if (at == len || (in[at] | 0x20) != (word[at] | 0x20))
			return 0;
	}
	while (at < len && kms_looks_is_space(in[at]))
		at++;
	return at;
}

/* Return the length of vault:v<version>:, or 0. */
static size_t
skip_vault(const char *in, size_t len)
{
	size_t		at = 7;

	if (!kms_looks_begins(in, len, "vault:v"))
		return 0;
	while (at < len && kms_looks_is_decimal(in[at]))
		at++;
	return at > 7 && at < len && in[at] == ':' ? at + 1 : 0;
}

/* Return the length of {cipher} and the {name:value} after it, or 0. */
static size_t
skip_spring(const char *in, size_t len)
{
	size_t		at = 8;

	if (!kms_looks_begins(in, len, "{cipher}"))
		return 0;
	while (at < len && in[at] == '{')
	{
		size_t		close = kms_looks_find(in + at, len - at, "}");

		if (close == len - at)
			break;
		at += close + 1;
	}
	return at;
}

/*
 * Take the lines BEGIN and END away, wherever they are, because END may be
 * missing or all be one line.
 */
static KmsLooks
take_pem(const char *in, size_t len, KmsLooksUndone *undone)
{
	bool		is_key = false;
	size_t		at = 0;

	while (at < len)
	{
		size_t		skip = skip_pem_line(in + at, len - at, &is_key);

		if (skip == 0)
			undone->data[undone->len++] = in[at++];
		at += skip;
	}
	if (!is_key && undone->len < len)
		return KMS_LOOKS_PEM;
	undone->len = 0;
	return is_key ? KMS_LOOKS_KEY : KMS_LOOKS_PLAIN;
}

/*
 * Return the length of a line BEGIN or END, or 0.  Set *is_key if it names a
 * key or a certificate.
 */
static size_t
skip_pem_line(const char *in, size_t len, bool *is_key)
{
	size_t		start = kms_looks_begins(in, len, "-----BEGIN ") ? 11
	: kms_looks_begins(in, len, "-----END ") ? 9 : 0;
	size_t		label;

	if (start == 0)
		return 0;
	label = kms_looks_find(in + start, len - start, "-");
	if (!kms_looks_begins(in + start + label, len - start - label, "-----"))
		return 0;
	if (kms_looks_find(in + start, label, "KEY") < label ||
		kms_looks_find(in + start, label, "CERTIFICATE") < label)
		*is_key = true;
	return start + label + 5;
}

/* Take a text of base64 with the dots of a JWE, a JWS or a JWT. */
static KmsLooks
take_compact(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		dots = 0;
	bool		spaced = false;
	bool		is_url = true;
	size_t		i;

	if (!has_header(in, len))
		return KMS_LOOKS_PLAIN;
	for (i = 0; i < len; i++)
	{
		if (in[i] == '.')
			dots++;
		else if (kms_looks_is_space(in[i]))
			spaced = true;
		else if (!kms_looks_is_base64(in[i]) && in[i] != '=')
			return KMS_LOOKS_PLAIN;
		else if (strchr("+/=", in[i]) != NULL)
			is_url = false;
	}
	if (dots == JWS_DOTS &&
		!kms_jwe_form_names_enc(in, kms_looks_find(in, len, ".")))
		return in[len - 1] == '.' ? KMS_LOOKS_JWT : KMS_LOOKS_JWS;
	if (dots != JWE_DOTS)
		return KMS_LOOKS_PLAIN;
	if (!spaced && is_url)
		return KMS_LOOKS_JWE;
	for (i = 0; i < len; i++)
	{
		if (spaced ? !kms_looks_is_space(in[i]) : in[i] != '=')
			undone->data[undone->len++] = spaced ? in[i] : to_url(in[i]);
	}
	return spaced ? KMS_LOOKS_JWE_SPACED : KMS_LOOKS_JWE_BASE64;
}

/* Return true if the text may begin with an object of JSON in base64. */
static bool
has_header(const char *in, size_t len)
{
	return len >= HEADER_MIN && in[0] == 'e' &&
		strchr("wxyz0123456789-_", in[1]) != NULL &&
		kms_looks_find(in, len, ".") >= HEADER_MIN;
}

static char
to_url(char digit)
{
	return digit == '+' ? '-' : digit == '/' ? '_' : digit;
}

bool
kms_looks_foreign_begins_jwe(const char *in, size_t len)
{
	size_t		i = 0;

	if (!has_header(in, len))
		return false;
	while (i < len && kms_looks_is_base64(in[i]))
		i++;
	return i < len && in[i] == '.';
}
