#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/sha256.h"

#include "crypto/algorithm.h"

/*
 * The writer and the verification of the trail call this twice a row, and
 * clearing the error queue takes half as long as the hash.  So clear it only
 * after a failure.
 */
bool
kms_sha256(const void *data, size_t len, unsigned char out[KMS_SHA256_SIZE])
{
	unsigned int out_len = 0;
	bool		ok;

	ok = EVP_Digest(data, len, out, &out_len, kms_algorithm_sha256(),
					NULL) == 1 &&
		out_len == KMS_SHA256_SIZE;
	if (!ok)
	{
		OPENSSL_cleanse(out, KMS_SHA256_SIZE);
		ERR_clear_error();
	}
	return ok;
}
