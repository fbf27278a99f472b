#include <stdint.h>

#include "crypto/utf8_line.h"

static size_t read_character(const unsigned char *p, size_t len,
							 uint32_t *character);
static bool is_refused_in_line(uint32_t c);

bool
kms_utf8_line_valid(const char *utf8, size_t len)
{
	const unsigned char *p = (const unsigned char *) utf8;
	const unsigned char *end = p + len;

	while (p < end)
	{
		uint32_t	character;
		size_t		size = read_character(p, end - p, &character);

		if (size == 0 || is_refused_in_line(character))
			return false;
		p += size;
	}
	return true;
}

/*
 * Read a character.  Return the number of its bytes, or 0 if it is not
 * well-formed.
 */
static size_t
read_character(const unsigned char *p, size_t len, uint32_t *character)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t		size = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 :
	p[0] < 0xf0 ? 3 : p[0] < 0xf8 ? 4 : 0;
	size_t		i;

	if (size == 0 || size > len)
		return 0;
	*character = size == 1 ? p[0] : p[0] & (0x7f >> size);
	for (i = 1; i < size; i++)
	{
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*character = *character << 6 | (p[i] & 0x3f);
	}
	if (*character < least[size] || *character > 0x10ffff ||
		(*character >= 0xd800 && *character <= 0xdfff))
		return 0;
	return size;
}

static bool
is_refused_in_line(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c ||
		c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
		(c >= 0x2066 && c <= 0x206f);
}
