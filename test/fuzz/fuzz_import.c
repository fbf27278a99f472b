/*
 * PEM of private keys.  A key that is accepted can be written, opened again
 * and used.  A refusal has a reason and leaves nothing behind.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/ec_generate.h"
#include "crypto/pem_import.h"
#include "crypto/rsa_oaep.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
use(KmsKeyOpener *opener, KmsKeyPair *imported)
{
	KmsOaep		oaep = {KMS_SHA1, KMS_DIGEST_NONE, NULL, 0};
	unsigned char der[KMS_KEY_PAIR_MAX_PRIVATE];
	unsigned char cipher[KMS_RSA_MAX_BLOCK];
	unsigned char plain[KMS_RSA_MAX_BLOCK];
	size_t		len;
	KmsKeyPair *key = NULL;

	if (kms_key_pair_private_der(imported, der, sizeof(der), &len) != KMS_OK ||
		kms_key_pair_open_private(opener, kms_key_pair_type(imported), der,
								  len, &key) != KMS_OK)
		abort();
	if (kms_key_pair_type(key) != KMS_TYPE_RSA)
	{
		if (kms_ec_generate_check_pair(key) != KMS_OK)
			abort();
		kms_key_pair_free(key);
		return;
	}
	if (kms_rsa_oaep_encrypt(imported, &oaep, (const unsigned char *) "1234", 4,
							 cipher, &len) != KMS_OK ||
		kms_rsa_oaep_decrypt(key, &oaep, cipher, len, plain, &len) != KMS_OK ||
		len != 4 || memcmp(plain, "1234", 4) != 0)
		abort();
	kms_key_pair_free(key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static KmsKeyOpener *opener;
	KmsImportRefusal refusal;
	KmsKeyPair *key;
	KmsStatus	status;

	if (opener == NULL)
		opener = kms_key_pair_opener_new();
	if (opener == NULL)
		abort();

	status = kms_pem_import(opener, (const char *) data, size, &key, &refusal);
	if ((status == KMS_OK) != (key != NULL) ||
		(status == KMS_BAD_KEY) != (refusal != KMS_REFUSED_NONE) ||
		(status != KMS_OK && status != KMS_BAD_KEY))
		abort();
	if (refusal != KMS_REFUSED_NONE &&
		kms_import_refusal_row(refusal)->why == NULL)
		abort();
	if (key != NULL)
		use(opener, key);
	kms_key_pair_free(key);
	return 0;
}
