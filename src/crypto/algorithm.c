#include <openssl/core_names.h>

#include "crypto/algorithm.h"

const EVP_MD *
kms_algorithm_sha256(void)
{
	return kms_algorithm_digest(KMS_SHA256);
}

const EVP_MD *
kms_algorithm_digest(KmsDigest digest)
{
	static EVP_MD *digests[KMS_DIGEST_COUNT];
	const char *name = kms_digest_openssl_name(digest);

	if (name == NULL)
		return NULL;
	if (digests[digest] == NULL)
		digests[digest] = EVP_MD_fetch(NULL, name, NULL);
	return digests[digest];
}

EVP_KDF *
kms_algorithm_hkdf(void)
{
	static EVP_KDF *hkdf = NULL;

	if (hkdf == NULL)
		hkdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
	return hkdf;
}

EVP_MAC *
kms_algorithm_hmac(void)
{
	static EVP_MAC *hmac = NULL;

	if (hmac == NULL)
		hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
	return hmac;
}

EVP_KEYEXCH *
kms_algorithm_x25519(void)
{
	static EVP_KEYEXCH *x25519 = NULL;

	if (x25519 == NULL)
		x25519 = EVP_KEYEXCH_fetch(NULL, "X25519", NULL);
	return x25519;
}

const EVP_CIPHER *
kms_algorithm_aes(KmsAesMode mode, size_t key_size)
{
	static const char *const names[KMS_AES_MODES][3] = {
		[KMS_AES_GCM] = {"AES-128-GCM", "AES-192-GCM", "AES-256-GCM"},
		[KMS_AES_CBC] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"},
		[KMS_AES_ECB] = {"AES-128-ECB", "AES-192-ECB", "AES-256-ECB"}
	};
	static EVP_CIPHER *ciphers[KMS_AES_MODES][3];
	size_t		size = key_size / 8 - 2;

	if (size > 2 || key_size % 8 != 0)
		return NULL;
	if (ciphers[mode][size] == NULL)
		ciphers[mode][size] = EVP_CIPHER_fetch(NULL, names[mode][size], NULL);
	return ciphers[mode][size];
}
