/*
 * Ciphertexts of any bytes.  The first byte chooses digest and MGF1 digest,
 * the second the length of a label; the rest is the ciphertext.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/key_pair.h"
#include "crypto/rsa_oaep.h"
#include "keys.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static KmsKeyPair *
open_key(void)
{
	KmsKeyOpener *opener = kms_key_pair_opener_new();
	KmsKeyPair *key;

	if (opener == NULL ||
		kms_key_pair_open_private(opener, KMS_TYPE_RSA, key_2048, sizeof(key_2048),
								  &key) != KMS_OK)
		abort();
	kms_key_pair_opener_free(opener);
	return key;
}

static void
check_wiped(const unsigned char *out, size_t size, size_t out_len)
{
	size_t		i;

	if (out_len != 0)
		abort();
	for (i = 0; i < size; i++)
	{
		if (out[i] != 0)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static KmsKeyPair *key;
	KmsOaep		oaep;
	unsigned char *out;
	size_t		block;
	size_t		out_len = 99;
	KmsStatus	status;

	if (key == NULL)
		key = open_key();
	block = kms_key_pair_block_size(key);
	if (size < 2 || size - 2 < data[1])
		return 0;

	oaep.digest = (KmsDigest) (1 + data[0] % (KMS_DIGEST_COUNT - 1));
	oaep.mgf1 = (KmsDigest) (data[0] / 16 % KMS_DIGEST_COUNT);
	oaep.label = data + 2;
	oaep.label_len = data[1];
	data += 2 + oaep.label_len;
	size -= 2 + oaep.label_len;

	out = malloc(block);
	memset(out, 0xff, block);
	status = kms_rsa_oaep_decrypt(key, &oaep, data, size, out, &out_len);
	switch (status)
	{
		case KMS_OK:
			if (out_len > kms_rsa_oaep_max_plaintext(key, oaep.digest))
				abort();
			break;
		case KMS_REJECTED:
			check_wiped(out, block, out_len);
			if (size != block)
				abort();
			break;
		case KMS_BAD_LENGTH:
			check_wiped(out, block, out_len);
			if (size == block)
				abort();
			break;
		default:
			abort();
	}
	free(out);
	return 0;
}
