#include <string.h>

#include <openssl/crypto.h>

#include "crypto/mask.h"

static const char masked[] = "[not shown]";

static bool is_hex(char c);
static bool complete(KmsMask *mask);
static void give_run(KmsMask *mask);
static void give(KmsMask *mask, const char *characters, size_t len);

void
kms_mask_begin(KmsMask *mask, size_t limit)
{
	OPENSSL_cleanse(mask, sizeof(*mask));
	mask->left = limit;
}

bool
kms_mask_take(KmsMask *mask, const char *piece, size_t len, size_t *used)
{
	size_t		i;

	for (i = 0; i < len; i++)
	{
		char		c = piece[i];
		bool		ends = c == '\n' || c == '\r';

		if (is_hex(c))
		{
			if (mask->masking)
				continue;
			mask->run[mask->run_len++] = c;
			if (mask->run_len < KMS_MASK_RUN)
				continue;
			OPENSSL_cleanse(mask->run, sizeof(mask->run));
			mask->run_len = 0;
			mask->masking = true;
			give(mask, masked, sizeof(masked) - 1);
		}
		else
		{
			give_run(mask);
			mask->masking = false;
			if (c >= ' ' && c <= '~')
				give(mask, &c, 1);
			else if (c == '\t')
				give(mask, " ", 1);
			else if (!ends)
				give(mask, "?", 1);
		}
		if ((ends || mask->len >= KMS_MASK_LINE) && complete(mask))
		{
			*used = i + 1;
			return true;
		}
	}
	*used = len;
	return false;
}

bool
kms_mask_end(KmsMask *mask)
{
	give_run(mask);
	mask->masking = false;
	return complete(mask);
}

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') ||
		(c >= 'a' && c <= 'f') ||
		(c >= 'A' && c <= 'F');
}

/* Return true if there is a line.  The next line starts after it. */
static bool
complete(KmsMask *mask)
{
	bool		any = mask->len > 0;

	mask->line[mask->len] = '\0';
	mask->len = 0;
	return any;
}

static void
give_run(KmsMask *mask)
{
	give(mask, mask->run, mask->run_len);
	OPENSSL_cleanse(mask->run, sizeof(mask->run));
	mask->run_len = 0;
}

/*
 * Append characters to the line.  A line has room for one run beyond its
 * length.
 */
static void
give(KmsMask *mask, const char *characters, size_t len)
{
	if (len > mask->left)
	{
		len = mask->left;
		mask->cut = true;
	}
	memcpy(mask->line + mask->len, characters, len);
	mask->len += len;
	mask->left -= len;
}
