#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/random.h"

static KmsStatus draw(int (*generate) (unsigned char *, int),
					  unsigned char *out, size_t len);

KmsStatus
kms_random_secret(unsigned char *out, size_t len)
{
	return draw(RAND_priv_bytes, out, len);
}

KmsStatus
kms_random_public(unsigned char *out, size_t len)
{
	return draw(RAND_bytes, out, len);
}

static KmsStatus
draw(int (*generate) (unsigned char *, int), unsigned char *out, size_t len)
{
	KmsStatus	status = KMS_FAILED;

	ERR_clear_error();
	if (len <= INT_MAX && generate(out, (int) len) == 1)
		status = KMS_OK;
	else
		OPENSSL_cleanse(out, len);
	ERR_clear_error();
	return status;
}
