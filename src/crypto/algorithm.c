#include <openssl/core_names.h>

#include "crypto/algorithm.h"

const EVP_MD *
kms_algorithm_sha256(void)
{
	static EVP_MD *sha256 = NULL;

	if (sha256 == NULL)
		sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	return sha256;
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

const EVP_CIPHER *
kms_algorithm_aes_256_gcm(void)
{
	static EVP_CIPHER *aes_256_gcm = NULL;

	if (aes_256_gcm == NULL)
		aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	return aes_256_gcm;
}
