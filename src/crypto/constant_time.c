/*
 * Compilers recognize a mask and may make a branch of it again.  They cannot
 * see through the empty assembly.
 */
#include "crypto/constant_time.h"

static size_t hide(size_t value);

KmsBitMask
kms_constant_time_equal(size_t a, size_t b)
{
	size_t		difference = hide(a ^ b);

	/* the highest bit of this is set only for 0 */
	difference = ~difference & (difference - 1);
	return 0 - hide(difference >> (sizeof(difference) * 8 - 1));
}

void
kms_constant_time_select(KmsBitMask mask, const unsigned char *yes,
						 const unsigned char *no, unsigned char *out,
						 size_t len)
{
	unsigned char bits = (unsigned char) hide(mask);
	size_t		i;

	for (i = 0; i < len; i++)
		out[i] = (unsigned char) ((yes[i] & bits) | (no[i] & ~bits));
}

static size_t
hide(size_t value)
{
__asm__("":"+r"(value));
	return value;
}
