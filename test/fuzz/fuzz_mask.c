/* The standard error of a program. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/mask.h"

#define LIMIT	2048

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The lines of it, each with its end, in pieces of this size. */
static size_t
lines(const char *data, size_t size, size_t piece, char *out)
{
	KmsMask		mask;
	size_t		len = 0;
	size_t		at = 0;
	size_t		used;

	kms_mask_begin(&mask, LIMIT);
	for (;;)
	{
		bool		ends = at == size;

		if (ends ? kms_mask_end(&mask) :
			kms_mask_take(&mask, data + at, size - at < piece ? size - at : piece,
						  &used))
		{
			size_t		line_len = strlen(mask.line);

			if (line_len < 1 || line_len > KMS_MASK_LINE + KMS_MASK_RUN)
				abort();
			memcpy(out + len, mask.line, line_len);
			len += line_len;
			out[len++] = '\n';
		}
		if (ends)
			return len;
		at += used;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char whole[2 * LIMIT];
	static char pieces[2 * LIMIT];
	size_t		len = lines((const char *) data, size, size + 1, whole);
	size_t		run = 0;
	size_t		i;

	if (lines((const char *) data, size, 1 + size % 7, pieces) != len ||
		memcmp(whole, pieces, len) != 0)
		abort();
	for (i = 0; i < len; i++)
	{
		if (whole[i] != '\n' && (whole[i] < ' ' || whole[i] > '~'))
			abort();
		run = isxdigit((unsigned char) whole[i]) ? run + 1 : 0;
		if (run >= KMS_MASK_RUN)
			abort();
	}
	return 0;
}
