/*
 * Base64 text of any bytes: what is accepted must be what OpenSSL decodes,
 * and normal already.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "crypto/base64.h"
#include "crypto/key_id.h"
#include "crypto/utf8_line.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char	   *out = malloc(size + 3);
	char	   *again = malloc(size + 6);
	unsigned char *bytes = malloc(size + 3);
	size_t		out_len;
	size_t		again_len;

	if (kms_base64_normalize((const char *) data, size, out,
							 &out_len) == KMS_OK)
	{
		if (out_len % 4 != 0 || out_len > size + 2)
			abort();
		if (EVP_DecodeBlock(bytes, (unsigned char *) out,
							(int) out_len) != (int) (out_len / 4 * 3))
			abort();
		if (kms_base64_normalize(out, out_len, again, &again_len) != KMS_OK ||
			again_len != out_len || memcmp(out, again, out_len) != 0)
			abort();
	}
	else if (out_len != 0)
		abort();

	(void) kms_key_id_valid((const char *) data, size);
	(void) kms_key_id_valid_service((const char *) data, size);
	(void) kms_utf8_line_valid((const char *) data, size);
	free(bytes);
	free(again);
	free(out);
	return 0;
}
