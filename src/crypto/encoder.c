#include <string.h>

#include "crypto/encoder.h"

#define NULL_LENGTH UINT32_C(0xffffffff)

void
kms_encoder_init(KmsEncoder *enc, unsigned char *data, size_t size)
{
	enc->data = data;
	enc->size = size;
	enc->len = 0;
	enc->failed = false;
}

void
kms_encoder_bytes(KmsEncoder *enc, const void *data, size_t len)
{
	if (len >= NULL_LENGTH)
	{
		enc->failed = true;
		return;
	}
	kms_encoder_length(enc, (uint32_t) len);
	kms_encoder_raw(enc, data, len);
}

void
kms_encoder_text(KmsEncoder *enc, const char *text)
{
	if (text == NULL)
		kms_encoder_length(enc, NULL_LENGTH);
	else
		kms_encoder_bytes(enc, text, strlen(text));
}

void
kms_encoder_int64(KmsEncoder *enc, int64_t value)
{
	unsigned char bytes[8];
	uint64_t	rest = (uint64_t) value;
	int			i;

	for (i = 7; i >= 0; i--)
	{
		bytes[i] = (unsigned char) (rest & 0xff);
		rest >>= 8;
	}
	kms_encoder_raw(enc, bytes, sizeof(bytes));
}

void
kms_encoder_length(KmsEncoder *enc, uint32_t len)
{
	unsigned char bytes[4];

	bytes[0] = (unsigned char) (len >> 24);
	bytes[1] = (unsigned char) (len >> 16 & 0xff);
	bytes[2] = (unsigned char) (len >> 8 & 0xff);
	bytes[3] = (unsigned char) (len & 0xff);
	kms_encoder_raw(enc, bytes, sizeof(bytes));
}

void
kms_encoder_raw(KmsEncoder *enc, const void *data, size_t len)
{
	if (enc->failed || len > enc->size - enc->len)
	{
		enc->failed = true;
		return;
	}
	if (len > 0)
		memcpy(enc->data + enc->len, data, len);
	enc->len += len;
}

bool
kms_encoder_ok(const KmsEncoder *enc)
{
	return !enc->failed;
}
