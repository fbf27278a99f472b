/*
 * Any text and any bytes: each has one form, layer by layer.  The rest when a
 * layer is undone fits into the room, is a text if it should be, and is
 * nothing if the form cannot be undone.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base64.h"
#include "crypto/looks.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LAYERS_MAX 64

/*
 * Replace "data" by what its form holds.  Return what that is.
 */
static KmsLooksHolds
undo(unsigned char **data, size_t *len, KmsLooksHolds is, size_t block)
{
	/* of that very size, so that a write behind it is seen */
	KmsLooksUndone undone = {.data = malloc(*len + KMS_LOOKS_ROOM)};
	KmsLooksHolds holds = KMS_HOLDS_NOTHING;
	KmsLooks	looks;

	if (is == KMS_HOLDS_TEXT)
		looks = kms_looks_text((const char *) *data, *len, block, &undone);
	else
		looks = kms_looks_bytes(*data, *len, block, &undone);
	if (looks >= KMS_LOOKS_COUNT)
		abort();
	if (looks != KMS_LOOKS_PLAIN)
		holds = kms_looks_row(looks)->holds;
	if (holds == KMS_HOLDS_NOTHING && undone.len != 0)
		abort();
	if (undone.len > *len)
		abort();

	/* no form of a text makes a NUL, except in bytes */
	if (holds == KMS_HOLDS_TEXT && memchr(*data, 0, *len) == NULL &&
		memchr(undone.data, 0, undone.len) != NULL)
		abort();
	free(*data);
	*data = undone.data;
	*len = undone.len;
	return holds;
}

static void
undo_all(const uint8_t *data, size_t size, KmsLooksHolds is, size_t block)
{
	unsigned char *copy = malloc(size > 0 ? size : 1);
	int			i;

	memcpy(copy, data, size);
	for (i = 0; i < LAYERS_MAX && is != KMS_HOLDS_NOTHING; i++)
		is = undo(&copy, &size, is, block);
	free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *in = (const char *) data;
	char	   *out;
	size_t		out_len;

	undo_all(data, size, KMS_HOLDS_TEXT, 0);
	undo_all(data, size, KMS_HOLDS_TEXT, size * 3 / 4);
	undo_all(data, size, KMS_HOLDS_TEXT, size / 2 + 1);
	undo_all(data, size, KMS_HOLDS_BYTES, 0);

	/* a text that is not base64 at its end is reported as that */
	out = malloc(size + 3);
	if (kms_base64_fault(in, size) > size)
		abort();
	if (kms_base64_fault(in, size) < size &&
		kms_base64_normalize(in, size, out, &out_len) == KMS_OK)
		abort();
	free(out);
	return 0;
}
