/*
 * Any text: what it looks like is told, and what has a form of its own is
 * not taken for base64 with blanks.
 */
#include <stdint.h>
#include <stdlib.h>

#include "crypto/base64.h"
#include "crypto/looks.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *in = (const char *) data;
	char	   *out = malloc(size + 3);
	KmsLooks	looks = kms_looks_like(in, size, 0);
	KmsLooks	of_block = kms_looks_like(in, size, size * 3 / 4);
	size_t		out_len;

	if (looks == KMS_LOOKS_BLANKED || looks > KMS_LOOKS_BLANKED)
		abort();
	if (of_block != looks && of_block != KMS_LOOKS_BLANKED)
		abort();
	if (kms_base64_fault(in, size) > size)
		abort();

	/* what is not base64 at its end is told as that */
	if (kms_base64_fault(in, size) < size &&
		kms_base64_normalize(in, size, out, &out_len) == KMS_OK)
		abort();
	free(out);
	return 0;
}
