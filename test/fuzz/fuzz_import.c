/*
 * PEM of private keys.  A key that is accepted can be written, opened again
 * and used to decrypt.  A refusal has a reason and leaves nothing behind.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/rsa_import.h"
#include "crypto/rsa_oaep.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
use(KmsRsaOpener *opener, KmsRsaKey *imported)
{
	KmsOaep		oaep = {KMS_SHA1, KMS_DIGEST_NONE, NULL, 0};
	unsigned char der[KMS_RSA_MAX_PRIVATE];
	unsigned char cipher[KMS_RSA_MAX_BLOCK];
	unsigned char plain[KMS_RSA_MAX_BLOCK];
	size_t		len;
	KmsRsaKey  *key = NULL;

	if (kms_rsa_key_private_der(imported, der, sizeof(der), &len) != KMS_OK ||
		kms_rsa_key_open_private(opener, der, len, &key) != KMS_OK)
		abort();
	if (kms_rsa_oaep_encrypt(imported, &oaep, (const unsigned char *) "1234", 4,
							 cipher, &len) != KMS_OK ||
		kms_rsa_oaep_decrypt(key, &oaep, cipher, len, plain, &len) != KMS_OK ||
		len != 4 || memcmp(plain, "1234", 4) != 0)
		abort();
	kms_rsa_key_free(key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static KmsRsaOpener *opener;
	const char *why;
	KmsRsaKey  *key;
	KmsStatus	status;

	if (opener == NULL)
		opener = kms_rsa_key_opener_new();
	if (opener == NULL)
		abort();

	status = kms_rsa_import_pem(opener, (const char *) data, size, &key, &why);
	if ((status == KMS_OK) != (key != NULL) ||
		(status == KMS_BAD_KEY) != (why != NULL) ||
		(status != KMS_OK && status != KMS_BAD_KEY))
		abort();
	if (key != NULL)
		use(opener, key);
	kms_rsa_key_free(key);
	return 0;
}
