/*
 * Stored bytes as somebody may have changed them.  The first byte chooses: a
 * wrap as it stands, or, so that the cipher is reached too, one whose
 * changes come behind the commitment; or a seal.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/encoder.h"
#include "crypto/seal.h"
#include "crypto/wrap.h"
#include "crypto/wrap_fixed.h"

#define CONTENT_SIZE 48			/* bytes */
#define CONTENT_AT	85			/* see wrap.h */

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const KmsMasterKey master = {
	.id = {0x84, 0x62, 0xdd, 0xd0, 0xca, 0xe7, 0x92, 0xf9},
	.key = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
		0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15,
	0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f}
};

static const KmsWrapContext context = {
	.purpose = KMS_PURPOSE_TEST,
	.key_id = "key",
	.device_id = "device",
	.algorithm = "RSA-2048",
	.created_at = 1
};

static const unsigned char zeros[CONTENT_SIZE];

static void
try_wrap(const uint8_t *wrap, size_t size, const uint8_t *original)
{
	size_t		out_size = size > KMS_WRAP_OVERHEAD ? size - KMS_WRAP_OVERHEAD : 0;
	unsigned char *out = malloc(out_size + 1);
	size_t		out_len = 99;
	size_t		i;

	memset(out, 0xff, out_size);
	if (kms_wrap_open(&master, &context, wrap, size, out, &out_len) == KMS_OK)
	{
		/* Nobody without the key makes one; here the fuzzer knows only this */
		if (size != KMS_WRAP_OVERHEAD + CONTENT_SIZE ||
			memcmp(wrap, original, size) != 0 ||
			out_len != CONTENT_SIZE || memcmp(out, zeros, out_len) != 0)
			abort();
	}
	else
	{
		if (out_len != 0)
			abort();
		for (i = 0; i < out_size; i++)
		{
			if (out[i] != 0)
				abort();
		}
	}
	(void) kms_wrap_master_key_id(wrap, size);
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char original[KMS_WRAP_OVERHEAD + CONTENT_SIZE];
	unsigned char *wrap;
	unsigned char row_data[64] = {0};
	KmsEncoder	row;
	size_t		len;

	if (size < 1)
		return 0;
	if (kms_wrap_fixed(&master, &context, zeros, zeros, zeros, sizeof(zeros),
					   original, &len) != KMS_OK)
		abort();

	switch (data[0] % 3)
	{
		case 0:
			wrap = malloc(size);
			memcpy(wrap, data + 1, size - 1);
			try_wrap(wrap, size - 1, original);
			free(wrap);
			break;
		case 1:
			wrap = malloc(CONTENT_AT + size);
			memcpy(wrap, original, CONTENT_AT);
			memcpy(wrap + CONTENT_AT, data + 1, size - 1);
			try_wrap(wrap, CONTENT_AT + size - 1, original);
			free(wrap);
			break;
		default:
			kms_encoder_init(&row, row_data, sizeof(row_data));
			kms_encoder_bytes(&row, data, size);
			if (kms_seal_verify(&master, &row, data + 1, size - 1) == KMS_OK)
				abort();
			break;
	}
	return 0;
}
