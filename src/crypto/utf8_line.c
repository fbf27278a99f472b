#include <stdint.h>

#include "crypto/utf8_line.h"

#include "crypto/utf8.h"

static bool is_refused_in_line(uint32_t c);

bool
kms_utf8_line_valid(const char *utf8, size_t len)
{
	const unsigned char *p = (const unsigned char *) utf8;
	const unsigned char *end = p + len;

	while (p < end)
	{
		uint32_t	character;
		size_t		size = kms_utf8_read(p, end - p, &character);

		if (size == 0 || is_refused_in_line(character))
			return false;
		p += size;
	}
	return true;
}

static bool
is_refused_in_line(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c ||
		c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
		(c >= 0x2066 && c <= 0x206f);
}
