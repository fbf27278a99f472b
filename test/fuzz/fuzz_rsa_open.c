/*
 * DER of private and public keys.  A key that opens is used once: a key that
 * makes no sense may fail, but not crash, hang or leave anything behind.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/rsa_key.h"
#include "crypto/rsa_oaep.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
use(KmsRsaKey *key, bool is_private)
{
	KmsOaep		oaep = {KMS_SHA256, KMS_SHA1, NULL, 0};
	size_t		block = kms_rsa_key_block_size(key);
	unsigned char *cipher = malloc(block);
	unsigned char *plain = malloc(block);
	unsigned char der[KMS_RSA_MAX_PUBLIC];
	size_t		len;

	if (kms_rsa_key_bits(key) < KMS_RSA_MIN_BITS ||
		kms_rsa_key_bits(key) > KMS_RSA_MAX_BITS || block > KMS_RSA_MAX_BLOCK)
		abort();
	if (kms_rsa_oaep_encrypt(key, &oaep, (const unsigned char *) "1234", 4,
							 cipher, &len) != KMS_OK)
		memset(cipher, 1, block);
	if (is_private)
		(void) kms_rsa_oaep_decrypt(key, &oaep, cipher, block, plain, &len);
	(void) kms_rsa_key_public_der(key, der, sizeof(der), &len);
	free(plain);
	free(cipher);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static KmsRsaOpener *opener;
	KmsRsaKey  *key;

	if (opener == NULL)
		opener = kms_rsa_key_opener_new();
	if (opener == NULL)
		abort();

	if (kms_rsa_key_open_private(opener, data, size, &key) == KMS_OK)
		use(key, true);
	else if (key != NULL)
		abort();
	kms_rsa_key_free(key);

	if (kms_rsa_key_open_public(opener, data, size, &key) == KMS_OK)
		use(key, false);
	else if (key != NULL)
		abort();
	kms_rsa_key_free(key);
	return 0;
}
