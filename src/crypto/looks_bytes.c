/*
 * Bytes that should be a ciphertext, and came out of base64 or another form.
 */
#include "crypto/looks_family.h"
#include "crypto/utf8.h"

#define BYTES_MIN		8		/* fewer may be text by chance */
#define FERNET_FIXED	57		/* version, time, IV and HMAC */
#define AES_BLOCK		16

#define TEXT(bytes) bytes, sizeof(bytes) - 1

/* How the ciphertexts of other systems begin. */
typedef struct Mark
{
	const char *start;
	size_t		len;
	KmsLooks	looks;
} Mark;

static const Mark marks[] = {
	{TEXT("Salted__"), KMS_LOOKS_BYTES_SALTED},
	/* AQICAH and AQECAH in base64 */
	{TEXT("\x01\x02\x02\x00\x78"), KMS_LOOKS_BYTES_AWS},
	{TEXT("\x01\x01\x02\x00\x78"), KMS_LOOKS_BYTES_AWS},
	/* CiQA in base64: field 1 of a protocol buffer, of 36 bytes */
	{TEXT("\x0a\x24\x00"), KMS_LOOKS_BYTES_GOOGLE},
	/* version 1, and the provider's GUID df9d8cd0-1501-11d1-8c7a-... */
	{TEXT("\x01\x00\x00\x00\xd0\x8c\x9d\xdf\x01\x15\xd1\x11\x8c\x7a"), KMS_LOOKS_BYTES_DPAPI}
};

/* Bytes read as UTF-8. */
typedef struct Utf8
{
	size_t		characters;
	size_t		latin1;			/* U+0080 to U+00FF */
	size_t		above;			/* U+0100 and above */
	size_t		replaced;
	size_t		controls;
} Utf8;

static KmsLooks mark_of(const unsigned char *in, size_t len);
static bool is_der(const unsigned char *in, size_t len);
static bool is_fernet(const unsigned char *in, size_t len);
static bool take_utf16(const unsigned char *in, size_t len,
					   KmsLooksUndone *undone);
static bool read_utf8(const unsigned char *in, size_t len, Utf8 *utf8);
static void take_latin1(const unsigned char *in, size_t len,
						KmsLooksUndone *undone);

KmsLooks
kms_looks_bytes(const unsigned char *in, size_t len, size_t block,
				KmsLooksUndone *undone)
{
	Utf8		utf8 = {0};
	KmsLooks	looks;

	undone->len = 0;
	undone->number = 0;
	if (len < BYTES_MIN || len == block)
		return KMS_LOOKS_PLAIN;
	looks = mark_of(in, len);
	if (looks != KMS_LOOKS_PLAIN)
		return looks;
	if (take_utf16(in, len, undone))
		return KMS_LOOKS_BYTES_UTF16;
	undone->len = 0;
	if (!read_utf8(in, len, &utf8))
		return KMS_LOOKS_PLAIN;
	if (utf8.replaced > 0)
		return KMS_LOOKS_BYTES_REPLACED;
	if (utf8.above == 0 && utf8.latin1 * 4 >= utf8.characters)
	{
		take_latin1(in, len, undone);
		return KMS_LOOKS_BYTES_LATIN1;
	}
	if (utf8.controls > 0)
		return KMS_LOOKS_PLAIN;
	memcpy(undone->data, in, len);
	undone->len = len;
	return KMS_LOOKS_BYTES_TEXT;
}

static KmsLooks
mark_of(const unsigned char *in, size_t len)
{
	size_t		i;

	for (i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
	{
		if (len >= marks[i].len &&
			memcmp(in, marks[i].start, marks[i].len) == 0)
			return marks[i].looks;
	}
	if (is_der(in, len))
		return KMS_LOOKS_BYTES_DER;
	if (is_fernet(in, len))
		return KMS_LOOKS_BYTES_FERNET;
	return KMS_LOOKS_PLAIN;
}

/* A SEQUENCE that is as long as the bytes (X.690, 8.1.3). */
static bool
is_der(const unsigned char *in, size_t len)
{
	if (in[0] != 0x30)
		return false;
	if (in[1] < 0x80)
		return len == 2 + (size_t) in[1];
	if (in[1] == 0x81)
		return len == 3 + (size_t) in[2];
	return in[1] == 0x82 && len == 4 + ((size_t) in[2] << 8 | in[3]);
}

/* Version 80, a time before 2106 and whole blocks of AES. */
static bool
is_fernet(const unsigned char *in, size_t len)
{
	return memcmp(in, "\x80\x00\x00\x00\x00", 5) == 0 &&
		len > FERNET_FIXED && (len - FERNET_FIXED) % AES_BLOCK == 0;
}

/*
 * Printable ASCII in UTF-16 of either byte order, with or without its mark.
 * Backslashes are left out, because the SQL of the form would double them.
 */
static bool
take_utf16(const unsigned char *in, size_t len, KmsLooksUndone *undone)
{
	bool		marked = (in[0] == 0xff && in[1] == 0xfe) ||
	(in[0] == 0xfe && in[1] == 0xff);
	size_t		i = marked ? 2 : 0;
	bool		little = in[i + 1] == 0;

	if (len % 2 != 0)
		return false;
	for (; i < len; i += 2)
	{
		unsigned char high = in[little ? i + 1 : i];
		unsigned char low = in[little ? i : i + 1];

		if (high != 0 || low > '~' || low == '\\' ||
			(low < ' ' && !kms_looks_is_space((char) low)))
			return false;
		undone->data[undone->len++] = low;
	}
	return undone->len > 0;
}

/* Return false if the bytes are not UTF-8. */
static bool
read_utf8(const unsigned char *in, size_t len, Utf8 *utf8)
{
	size_t		at = 0;

	while (at < len)
	{
		uint32_t	c;
		size_t		size = kms_utf8_read(in + at, len - at, &c);

		if (size == 0)
			return false;
		at += size;
		utf8->characters++;
		utf8->latin1 += c >= 0x80 && c <= 0xff;
		utf8->above += c > 0xff;
		utf8->replaced += c == 0xfffd;
		utf8->controls += c == 0x7f ||
			(c < 0x20 && !kms_looks_is_space((char) c));
	}
	return true;
}

static void
take_latin1(const unsigned char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		at = 0;

	while (at < len)
	{
		uint32_t	c;

		at += kms_utf8_read(in + at, len - at, &c);
		undone->data[undone->len++] = (unsigned char) c;
	}
}
