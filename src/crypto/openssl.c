#include <openssl/crypto.h>

#include "crypto/openssl.h"

/* The fix was reworked in 3.0.9 and 3.1.1. */
int
kms_openssl_is_old(void)
{
	unsigned long version = OpenSSL_version_num();

	return version < 0x30000090UL ||
		(version >= 0x30100000UL && version < 0x30100010UL);
}

const char *
kms_openssl_version(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}
