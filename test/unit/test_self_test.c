#include <openssl/crypto.h>

#include "crypto/openssl.h"
#include "crypto/secure_heap.h"
#include "crypto/self_test.h"
#include "tap.h"

int
main(void)
{
	const char *what = "?";
	int			result;

	check(kms_self_test_run(&what) == KMS_OK && what == NULL,
		  "all known answers");
	check(strncmp(kms_openssl_version(), "OpenSSL ", 8) == 0,
		  "%s", kms_openssl_version());
	check(!kms_openssl_is_old() ||
		  OpenSSL_version_num() < 0x30100010UL,
		  "a current OpenSSL is not too old");

	result = kms_secure_heap_start(65536);
	check(result == 1 || result == 2, "the secure heap starts: %d", result);
	check(CRYPTO_secure_malloc_initialized() == 1, "the secure heap is there");
	check_number(kms_secure_heap_start(65536), 2, "a second start keeps it");
	check(kms_self_test_run(&what) == KMS_OK, "all known answers with it");
	check_number((long long) CRYPTO_secure_used(), 0, "nothing is left in it");
	return tap_done();
}
