#include <stdint.h>

#include "crypto/utf8_line.h"
#include "tap.h"

/* Write a character as UTF-8 would, also one that it does not have. */
static size_t
put_utf8(uint32_t c, char *out)
{
	size_t		size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t		i;

	for (i = size - 1; i > 0; i--)
	{
		out[i] = (char) (0x80 | (c & 0x3f));
		c >>= 6;
	}
	out[0] = (char) (heads[size] | c);
	return size;
}

static bool
is_refused(uint32_t c)
{
	static const uint32_t singles[] = {0x7f, 0x61c, 0x200e, 0x200f};
	size_t		i;

	for (i = 0; i < LENGTH_OF(singles); i++)
	{
		if (c == singles[i])
			return true;
	}
	return c < 0x20 || (c >= 0x80 && c <= 0x9f) ||
		(c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x206f) ||
		(c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff;
}

static void
test_lines(void)
{
	static const struct
	{
		const char *bytes;
		size_t		len;
	}			malformed[] = {
		{"a\x80", 2}, {"\xc2", 1}, {"\xc0\xa0", 2}, {"\xc1\xbf", 2},
		{"\xe0\x80\xa0", 3}, {"\xe2\x82", 2}, {"\xf0\x80\x80\xa0", 4},
		{"\xf8\x88\x80\x80\x80", 5}, {"\xff", 1}, {"\xe9 ", 2},
	};
	bool		right = true;
	uint32_t	c;
	size_t		i;

	for (c = 0; c < 0x120000; c++)
	{
		char text[	6] = "a";
		size_t		len = 1 + put_utf8(c, text +1);

		text[		len++] = 'b';

		right = right && kms_utf8_line_valid(text, len) == !is_refused(c);
	}
	check(right, "controls, separators and what turns the direction are refused");
	for (i = 0; i < LENGTH_OF(malformed); i++)
		check(!kms_utf8_line_valid(malformed[i].bytes, malformed[i].len),
			  "malformed UTF-8 %zu is refused", i);
	check(kms_utf8_line_valid("", 0), "the empty text is a line");
}

int
main(void)
{
	test_lines();
	return tap_done();
}
