#include <string.h>

#include "crypto/fold.h"

static const char *const names[KMS_FOLD_COUNT] = {
	[KMS_FOLD_NONE] = "none",
	[KMS_FOLD_DIGITS] = "digits",
	[KMS_FOLD_ALNUM] = "alnum"
};

static bool is_digit(unsigned char byte);

bool
kms_fold_by_name(const char *name, KmsFold *fold)
{
	int			i;

	for (i = 0; i < KMS_FOLD_COUNT; i++)
	{
		if (strcmp(name, names[i]) == 0)
		{
			*fold = (KmsFold) i;
			return true;
		}
	}
	return false;
}

const char *
kms_fold_name(KmsFold fold)
{
	return names[fold];
}

/* The functions of <ctype.h> depend on the locale. */
size_t
kms_fold(KmsFold fold, const unsigned char *in, size_t len,
		 unsigned char *out)
{
	size_t		out_len = 0;
	size_t		i;

	if (fold == KMS_FOLD_NONE)
	{
		if (len > 0)
			memmove(out, in, len);
		return len;
	}
	for (i = 0; i < len; i++)
	{
		unsigned char byte = in[i];

		if (byte >= 'A' && byte <= 'Z')
			byte = (unsigned char) (byte - 'A' + 'a');
		if (is_digit(byte) ||
			(fold == KMS_FOLD_ALNUM && byte >= 'a' && byte <= 'z'))
			out[out_len++] = byte;
	}
	return out_len;
}

static bool
is_digit(unsigned char byte)
{
	return byte >= '0' && byte <= '9';
}
