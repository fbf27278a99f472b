#include "crypto/looks_family.h"

#define PREFIX_MAX	40			/* characters before the bracket of a list */

/* The starts of what Node, .NET, Java, Python and others print. */
static const char *const objects[] = {
	"[object ", "System.", "[B@", "[C@", "<memory at ", "<_io.", "Instance of '",
	"#<", "[Object"
};

static const char *const no_values[] = {
	"undefined", "null", "NULL", "(null)", "None", "nil", "NaN", "Array",
	"Object", "[]", "{}"
};

static bool is_object(const char *in, size_t len);
static bool is_no_value(const char *in, size_t len);
static KmsLooks take_hex(const char *in, size_t len, KmsLooksUndone *undone);
static KmsLooks take_python(const char *in, size_t len,
							KmsLooksUndone *undone);
static bool unescape_python(const char *in, size_t len,
							KmsLooksUndone *undone);
static bool unescape_character(char escape, char *c);
static bool take_numbers(const char *in, size_t len, KmsLooksUndone *undone);
static bool is_between_numbers(char c);
static bool take_hex_numbers(const char *in, size_t len,
							 KmsLooksUndone *undone);

KmsLooks
kms_looks_printed(const char *in, size_t len, KmsLooksUndone *undone)
{
	KmsLooks	looks;

	if (is_object(in, len))
		return KMS_LOOKS_OBJECT;
	if (is_no_value(in, len))
		return KMS_LOOKS_NO_VALUE;
	looks = take_hex(in, len, undone);
	if (looks == KMS_LOOKS_PLAIN)
		looks = take_python(in, len, undone);
	if (looks != KMS_LOOKS_PLAIN)
		return looks;
	if (take_numbers(in, len, undone))
		return KMS_LOOKS_NUMBERS;
	undone->len = 0;
	if (take_hex_numbers(in, len, undone))
		return KMS_LOOKS_HEX_NUMBERS;
	undone->len = 0;
	return KMS_LOOKS_PLAIN;
}

static bool
is_object(const char *in, size_t len)
{
	size_t		i;

	for (i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
	{
		if (kms_looks_begins(in, len, objects[i]))
			return true;
	}

	/* "256 bytes", as Swift describes its Data */
	i = 0;
	while (i < len && kms_looks_is_decimal(in[i]))
		i++;
	return i > 0 && kms_looks_is(in + i, len - i, " bytes");
}

static bool
is_no_value(const char *in, size_t len)
{
	size_t		i;

	for (i = 0; i < sizeof(no_values) / sizeof(no_values[0]); i++)
	{
		if (kms_looks_is(in, len, no_values[i]))
			return true;
	}
	return false;
}

/* <Buffer 3a 4b ...> of Node, <3a4b5c6d ...> of Objective-C */
static KmsLooks
take_hex(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		start = kms_looks_begins(in, len, "<Buffer ") ? 8
	: kms_looks_begins(in, len, "<") ? 1 : 0;
	size_t		digits = 0;
	size_t		i;

	if (start == 0 || in[len - 1] != '>')
		return KMS_LOOKS_PLAIN;
	for (i = start; i < len - 1; i++)
	{
		if (kms_looks_is_hex(in[i]))
			digits++;
		else if (!kms_looks_is_space(in[i]))
			return KMS_LOOKS_PLAIN;
	}
	if (digits < KMS_LOOKS_HEX_MIN)
		return KMS_LOOKS_PLAIN;
	return kms_looks_leave(KMS_LOOKS_PRINTED_HEX, in + start, len - 1 - start,
						   undone);
}

/* b'...', b"...", also in bytearray(...) */
static KmsLooks
take_python(const char *in, size_t len, KmsLooksUndone *undone)
{
	if (kms_looks_begins(in, len, "bytearray(") && in[len - 1] == ')')
	{
		in += 10;
		len -= 11;
	}
	if (len < 3 || in[0] != 'b' || (in[1] != '\'' && in[1] != '"') ||
		in[len - 1] != in[1])
		return KMS_LOOKS_PLAIN;
	in += 2;
	len -= 3;
	if (memchr(in, '\\', len) == NULL)
		return kms_looks_leave(KMS_LOOKS_PYTHON_TEXT, in, len, undone);
	if (unescape_python(in, len, undone))
		return KMS_LOOKS_PYTHON_BYTES;
	undone->len = 0;
	return KMS_LOOKS_PLAIN;
}

/* Undo the escapes that repr() makes: \xhh \t \n \r \\ \' \" */
static bool
unescape_python(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		at = 0;

	while (at < len)
	{
		char		c = in[at++];

		if (c != '\\')
		{
			undone->data[undone->len++] = c;
			continue;
		}
		if (at == len)
			return false;
		if (in[at] == 'x')
		{
			if (len - at < 3 || !kms_looks_is_hex(in[at + 1]) ||
				!kms_looks_is_hex(in[at + 2]))
				return false;
			undone->data[undone->len++] = kms_looks_hex_value(in[at + 1]) << 4 |
				kms_looks_hex_value(in[at + 2]);
			at += 3;
			continue;
		}
		if (!unescape_character(in[at++], &c))
			return false;
		undone->data[undone->len++] = c;
	}
	return true;
}

static bool
unescape_character(char escape, char *c)
{
	switch (escape)
	{
		case 'n':
			*c = '\n';
			return true;
		case 'r':
			*c = '\r';
			return true;
		case 't':
			*c = '\t';
			return true;
		default:
			*c = escape;
			return escape == '\\' || escape == '\'' || escape == '"';
	}
}

/*
 * Numbers from -128 to 255, without brackets or in the last ones, as
 * Uint8Array(256) [ 1, 2 ], bytearray([1, 2]) or (byte) {1, -2}.
 */
static bool
take_numbers(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		at = len;

	while (at > 0 && memchr("[({<", in[at - 1], 4) == NULL)
		at--;
	if (at > PREFIX_MAX)
		return false;
	while (at < len)
	{
		bool		negative;
		int			value = 0;
		size_t		digits;

		if (is_between_numbers(in[at]))
		{
			at++;
			continue;
		}
		negative = in[at] == '-';
		at += negative ? 1 : 0;
		for (digits = 0; at < len && kms_looks_is_decimal(in[at]); digits++)
		{
			value = value * 10 + (in[at++] - '0');
			if (digits == 3)
				return false;
		}
		if (digits == 0 || value > (negative ? 128 : 255) ||
			(at < len && !is_between_numbers(in[at])))
			return false;
		undone->data[undone->len++] = negative ? 256 - value : value;
	}
	return undone->len >= KMS_LOOKS_NUMBERS_MIN;
}

static bool
is_between_numbers(char c)
{
	return kms_looks_is_space(c) || memchr(",;])}>", c, 6) != NULL;
}

/* 0x3, 0xff and so on, each of one or two digits, as Go prints bytes. */
static bool
take_hex_numbers(const char *in, size_t len, KmsLooksUndone *undone)
{
	size_t		at = kms_looks_find(in, len, "0x");

	if (at > PREFIX_MAX)
		return false;
	while (at < len)
	{
		int			value = 0;
		size_t		digits;

		if (is_between_numbers(in[at]))
		{
			at++;
			continue;
		}
		if (!kms_looks_begins(in + at, len - at, "0x"))
			return false;
		at += 2;
		for (digits = 0; at < len && kms_looks_is_hex(in[at]); digits++)
		{
			value = value << 4 | kms_looks_hex_value(in[at++]);
			if (digits == 2)
				return false;
		}
		if (digits == 0)
			return false;
		undone->data[undone->len++] = value;
	}
	return undone->len >= KMS_LOOKS_NUMBERS_MIN;
}
