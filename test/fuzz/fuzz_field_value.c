/*
 * Stored values as somebody may have changed them.  The first byte chooses,
 * the second is the length of the context, which follows.  The rest is
 *
 * - a value as it stands, or
 * - a plaintext, whose value is opened as it is and with one bit changed, so
 *   that the cipher is reached too: the first two bytes of the plaintext
 *   choose the bit.
 *
 * A value is rejected, and then nothing of it is left, or is what encrypting
 * its plaintext gives.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/field_value.h"

#define ID_AT		3			/* see docs/design/field-format.md */
#define VERSION_AT	11
#define NONCE_AT	13

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static KmsXaes *xaes;

static void
start(void)
{
	static const unsigned char key[KMS_XAES_KEY_SIZE] = {1};

	if (xaes == NULL && kms_xaes_new(key, &xaes) != KMS_OK)
		abort();
}

static KmsStatus
read_head(const uint8_t *value, size_t size, KmsFieldHead *head)
{
	KmsStatus	status;
	bool		good = size >= KMS_FIELD_VALUE_OVERHEAD &&
	memcmp(value, "kf\1", ID_AT) == 0 &&
	(value[VERSION_AT] != 0 || value[VERSION_AT + 1] != 0);

	status = kms_field_value_head(value, size, head);
	if (status != (good ? KMS_OK : KMS_BAD_FORMAT))
		abort();
	if (good && (memcmp(head->id, value + ID_AT, sizeof(head->id)) != 0 ||
				 head->version != value[VERSION_AT] * 256 +
				 value[VERSION_AT + 1]))
		abort();
	return status;
}

/* Return whether it opened. */
static bool
try_value(const uint8_t *value, size_t size, const uint8_t *context,
		  size_t context_len)
{
	size_t		len = size > KMS_FIELD_VALUE_OVERHEAD ?
	size - KMS_FIELD_VALUE_OVERHEAD : 0;
	unsigned char *out = malloc(len + 1);
	unsigned char *again = malloc(size + 1);
	KmsFieldHead head;
	KmsStatus	expected = read_head(value, size, &head);
	KmsStatus	status;
	size_t		i;

	memset(out, 0xff, len + 1);
	status = kms_field_value_decrypt(xaes, value, size, context, context_len,
									 out);
	if (out[len] != 0xff || (expected != KMS_OK ? status != expected :
							 status != KMS_OK && status != KMS_REJECTED))
		abort();
	for (i = 0; i < len && status != KMS_OK; i++)
	{
		if (out[i] != 0)
			abort();
	}
	if (status == KMS_OK &&
		(kms_field_value_encrypt(xaes, &head, value + NONCE_AT, context,
								 context_len, out, len, again) != KMS_OK ||
		 memcmp(again, value, size) != 0))
		abort();
	free(out);
	free(again);
	return status == KMS_OK;
}

static void
try_plaintext(const uint8_t *plain, size_t size, const uint8_t *context,
			  size_t context_len)
{
	static const KmsFieldHead head = {{1, 2, 3, 4, 5, 6, 7, 8}, 0x0102};
	static const unsigned char nonce[KMS_XAES_NONCE_SIZE] = {9};
	size_t		value_size = size + KMS_FIELD_VALUE_OVERHEAD;
	unsigned char *value = malloc(value_size);
	size_t		bit = 0;

	if (kms_field_value_encrypt(xaes, &head, nonce, context, context_len,
								plain, size, value) != KMS_OK ||
		!try_value(value, value_size, context, context_len))
		abort();
	if (size >= 2)
		bit = ((size_t) plain[0] << 8 | plain[1]) % (8 * value_size);
	value[bit / 8] ^= (unsigned char) (1 << bit % 8);
	if (try_value(value, value_size, context, context_len))
		abort();
	value[bit / 8] ^= (unsigned char) (1 << bit % 8);
	if (context_len > 0 &&
		try_value(value, value_size, context, context_len - 1))
		abort();
	free(value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *context;
	size_t		context_len;
	unsigned char *rest;

	start();
	if (size < 2 || data[1] > size - 2)
		return 0;
	context = data + 2;
	context_len = data[1];
	size -= 2 + context_len;
	rest = malloc(size + 1);
	memcpy(rest, context + context_len, size);
	if (data[0] % 2 == 0)
		(void) try_value(rest, size, context, context_len);
	else
		try_plaintext(rest, size, context, context_len);
	free(rest);
	return 0;
}
