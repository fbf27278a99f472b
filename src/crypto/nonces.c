#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/nonces.h"

static KmsStatus draw(KmsNonces *nonces);

KmsStatus
kms_nonces_next(KmsNonces *nonces, unsigned char *nonce)
{
	KmsStatus	status = KMS_OK;
	unsigned char *next;

	if (nonces->left < 1 || nonces->left > KMS_NONCES_BATCH)
		status = draw(nonces);
	if (status != KMS_OK)
	{
		OPENSSL_cleanse(nonce, KMS_XAES_NONCE_SIZE);
		return status;
	}
	nonces->left--;
	next = nonces->bytes + nonces->left * KMS_XAES_NONCE_SIZE;
	memcpy(nonce, next, KMS_XAES_NONCE_SIZE);
	OPENSSL_cleanse(next, KMS_XAES_NONCE_SIZE);
	return KMS_OK;
}

static KmsStatus
draw(KmsNonces *nonces)
{
	KmsStatus	status = KMS_FAILED;

	ERR_clear_error();
	nonces->left = 0;
	if (RAND_bytes(nonces->bytes, sizeof(nonces->bytes)) == 1)
	{
		nonces->left = KMS_NONCES_BATCH;
		status = KMS_OK;
	}
	ERR_clear_error();
	return status;
}
