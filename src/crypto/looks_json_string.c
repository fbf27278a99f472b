/*
 * The content of strings of JSON (RFC 8259, 7).
 */
#include "crypto/looks_family.h"
#include "crypto/utf8.h"

static bool read_escape(const char *in, size_t len, size_t *at,
						uint32_t *character);
static bool read_hex4(const char *in, size_t len, size_t *at,
					  uint32_t *character);
static size_t write_utf8(uint32_t c, unsigned char *out);

bool
kms_looks_json_string_unescape(const char *in, size_t len, unsigned char *out,
							   size_t *out_len)
{
	bool		valid = true;
	size_t		at = 0;

	*out_len = 0;
	while (at < len && valid)
	{
		unsigned char utf8[4];
		uint32_t	c;

		if (in[at] == '\\')
			valid = read_escape(in, len, &at, &c);
		else
		{
			size_t		size = kms_utf8_read((const unsigned char *) in + at,
											 len - at, &c);

			valid = size > 0 && c >= 0x20 && c != '"';
			at += size;
		}
		if (valid)
			*out_len += write_utf8(c, out != NULL ? out + *out_len : utf8);
	}
	if (!valid)
		*out_len = 0;
	return valid;
}

size_t
kms_looks_json_string_characters(const char *in, size_t len)
{
	size_t		characters = 0;
	size_t		at = 0;

	while (at < len)
	{
		uint32_t	c;

		if (in[at] == '\\')
			(void) read_escape(in, len, &at, &c);
		else
			at += kms_utf8_read((const unsigned char *) in + at, len - at, &c);
		characters++;
	}
	return characters;
}

/*
 * Read the escape that begins at *at, and advance *at past it.  U+0000 and a
 * surrogate without its other half are not valid, because jsonb refuses them.
 */
static bool
read_escape(const char *in, size_t len, size_t *at, uint32_t *character)
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t	low;

	if (len - *at < 2)
		return false;
	if (in[*at + 1] == 'u')
	{
		if (!read_hex4(in, len, at, character) || *character == 0)
			return false;
		if (*character < 0xd800 || *character > 0xdfff)
			return true;
		if (*character > 0xdbff || !read_hex4(in, len, at, &low) ||
			low < 0xdc00 || low > 0xdfff)
			return false;
		*character = 0x10000 + ((*character - 0xd800) << 10) + (low - 0xdc00);
		return true;
	}
	found = memchr(names, in[*at + 1], sizeof(names) - 1);
	if (found == NULL)
		return false;
	*character = (uint32_t) values[found - names];
	*at += 2;
	return true;
}

/* Read \u and four hexadecimal digits. */
static bool
read_hex4(const char *in, size_t len, size_t *at, uint32_t *character)
{
	int			i;

	if (len - *at < 6 || in[*at] != '\\' || in[*at + 1] != 'u')
		return false;
	*character = 0;
	for (i = 2; i < 6; i++)
	{
		if (!kms_looks_is_hex(in[*at + i]))
			return false;
		*character = *character << 4 | kms_looks_hex_value(in[*at + i]);
	}
	*at += 6;
	return true;
}

static size_t
write_utf8(uint32_t c, unsigned char *out)
{
	if (c < 0x80)
	{
		out[0] = c;
		return 1;
	}
	if (c < 0x800)
	{
		out[0] = 0xc0 | c >> 6;
		out[1] = 0x80 | (c & 0x3f);
		return 2;
	}
	if (c < 0x10000)
	{
		out[0] = 0xe0 | c >> 12;
		out[1] = 0x80 | (c >> 6 & 0x3f);
		out[2] = 0x80 | (c & 0x3f);
		return 3;
	}
	out[0] = 0xf0 | c >> 18;
	out[1] = 0x80 | (c >> 12 & 0x3f);
	out[2] = 0x80 | (c >> 6 & 0x3f);
	out[3] = 0x80 | (c & 0x3f);
	return 4;
}
