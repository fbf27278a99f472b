/*
 * DER of private and public keys.  A key that opens is used once: a key that
 * makes no sense may fail, but not crash, hang or leave anything behind.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/ecdh.h"
#include "crypto/key_pair.h"
#include "crypto/rsa_oaep.h"

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
use_rsa(KmsKeyPair *key, bool is_private)
{
	KmsOaep		oaep = {KMS_SHA256, KMS_SHA1, NULL, 0};
	size_t		block = kms_key_pair_block_size(key);
	unsigned char *cipher = malloc(block);
	unsigned char *plain = malloc(block);
	unsigned char der[KMS_KEY_PAIR_MAX_PUBLIC];
	size_t		len;

	if (block < KMS_RSA_MIN_BITS / 8 || block > KMS_RSA_MAX_BLOCK)
		abort();
	if (kms_rsa_oaep_encrypt(key, &oaep, (const unsigned char *) "1234", 4,
							 cipher, &len) != KMS_OK)
		memset(cipher, 1, block);
	if (is_private)
		(void) kms_rsa_oaep_decrypt(key, &oaep, cipher, block, plain, &len);
	(void) kms_key_pair_public_der(key, der, sizeof(der), &len);
	free(plain);
	free(cipher);
}

/*
 * There is one encoding of a key, so what opens is written as it was.  A
 * private key agrees with each point on its curve.
 */
static void
use_ecdh(KmsKeyOpener *opener, KmsKeyPair *key, bool is_private,
		 const uint8_t *data, size_t size)
{
	unsigned char der[KMS_KEY_PAIR_MAX_PRIVATE];
	unsigned char public_der[KMS_KEY_PAIR_MAX_PUBLIC];
	unsigned char secret[KMS_ECDH_SIZE];
	KmsPublicNumbers numbers;
	size_t		len;

	if ((is_private ? kms_key_pair_private_der : kms_key_pair_public_der)
		(key, der, sizeof(der), &len) != KMS_OK ||
		len != size || memcmp(der, data, size) != 0)
		abort();
	if (kms_key_pair_public_der(key, public_der, sizeof(public_der),
								&len) != KMS_OK ||
		kms_key_pair_public_numbers(opener, kms_key_pair_type(key), public_der,
									len, &numbers) != KMS_OK)
		abort();
	if (is_private &&
		kms_ecdh_agree(key, numbers.x, numbers.y, secret) != KMS_OK)
		abort();
}

static void
open_as(KmsKeyOpener *opener, KmsKeyType type, bool is_private,
		const uint8_t *data, size_t size)
{
	KmsKeyPair *key;
	KmsStatus	status;

	status = (is_private ? kms_key_pair_open_private :
			  kms_key_pair_open_public) (opener, type, data, size, &key);
	if ((status == KMS_OK) != (key != NULL))
		abort();
	if (key != NULL && type == KMS_TYPE_RSA)
		use_rsa(key, is_private);
	else if (key != NULL)
		use_ecdh(opener, key, is_private, data, size);
	kms_key_pair_free(key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const KmsKeyType types[] = {
		KMS_TYPE_RSA, KMS_TYPE_EC_P256, KMS_TYPE_X25519
	};
	static KmsKeyOpener *opener;
	size_t		i;

	if (opener == NULL)
		opener = kms_key_pair_opener_new();
	if (opener == NULL)
		abort();
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		open_as(opener, types[i], true, data, size);
		open_as(opener, types[i], false, data, size);
	}
	return 0;
}
