/*
 * Bytes from hexadecimal and base64url, for vectors as the standards print
 * them.  A wrong vector ends the test.
 */
#ifndef KMS_TEST_HEX_H
#define KMS_TEST_HEX_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "out" holds "size" bytes; blanks are skipped.  Return the length. */
static inline size_t
from_hex(const char *hex, unsigned char *out, size_t size)
{
	size_t		len = 0;

	while (*hex != '\0')
	{
		if (*hex == ' ')
		{
			hex++;
			continue;
		}
		if (len >= size || strspn(hex, "0123456789abcdefABCDEF") < 2 ||
			sscanf(hex, "%2hhx", &out[len++]) != 1)
		{
			printf("Bail out! a vector is no hexadecimal\n");
			exit(1);
		}
		hex += 2;
	}
	return len;
}

/* The same for "in_len" characters of base64url without padding. */
static inline size_t
from_base64url(const char *in, size_t in_len, unsigned char *out, size_t size)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	"abcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned int bits = 0;
	size_t		len = 0;
	size_t		i;

	for (i = 0; i < in_len; i++)
	{
		const char *found = strchr(alphabet, in[i]);

		bits = bits << 6 | (unsigned int) (found - alphabet);
		if (found == NULL || *found == '\0' || (i % 4 > 0 && len >= size))
		{
			printf("Bail out! a vector is no base64url\n");
			exit(1);
		}
		if (i % 4 > 0)
			out[len++] = (unsigned char) (bits >> (6 - 2 * (i % 4)));
	}
	return len;
}

#endif							/* KMS_TEST_HEX_H */
