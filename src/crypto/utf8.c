#include "crypto/utf8.h"

size_t
kms_utf8_read(const unsigned char *p, size_t len, uint32_t *character)
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
