/*
 * A provider without X25519, as FIPS providers may be.  RSA and P-256 work
 * all the same, and X25519 fails with a status of its own.
 *
 * The provider hands out the algorithms of OpenSSL's default one, except
 * those named X25519.  This is a program of its own because the provider must
 * be there before anything is fetched.
 */
#include <stdlib.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include "crypto/algorithm.h"
#include "crypto/ec_generate.h"
#include "crypto/key_pair.h"
#include "crypto/pem_import.h"
#include "crypto/self_test.h"
#include "crypto/status.h"
#include "keys.h"
#include "tap.h"

#define ALGORITHMS_MAX 256		/* of one operation */

#define BYTES(array) array, sizeof(array)

static OSSL_PROVIDER *default_provider;

static const OSSL_ALGORITHM *
without_x25519(void *context, int operation, int *no_cache)
{
	static OSSL_ALGORITHM kept[OSSL_OP__HIGHEST + 1][ALGORITHMS_MAX];
	const OSSL_ALGORITHM *all;
	int			count = 0;

	(void) context;
	all = OSSL_PROVIDER_query_operation(default_provider, operation,
										no_cache);
	if (all == NULL)
		return NULL;
	for (; all->algorithm_names != NULL; all++)
	{
		if (strncmp(all->algorithm_names, "X25519", 6) == 0)
			continue;
		if (count == ALGORITHMS_MAX - 1)
			abort();
		kept[operation][count++] = *all;
	}
	return kept[operation];
}

static int
start(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
	  const OSSL_DISPATCH **out, void **context)
{
	static const OSSL_DISPATCH functions[] = {
		{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*) (void)) without_x25519},
		{0, NULL}
	};

	(void) handle;
	(void) in;
	*out = functions;
	*context = OSSL_PROVIDER_get0_provider_ctx(default_provider);
	return 1;
}

int
main(void)
{
	static const unsigned char private_head[] = {
		0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e,
		0x04, 0x22, 0x04, 0x20
	};
	static const unsigned char public_head[] = {
		0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00
	};
	static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
	"MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n"
	"-----END PRIVATE KEY-----\n";
	KmsImportRefusal refusal;
	unsigned char private_der[48] = {0};
	unsigned char public_der[44] = {0};
	OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
	KmsPublicNumbers numbers;
	KmsKeyOpener *opener;
	KmsKeyPair *key;
	const char *what;

	default_provider = OSSL_PROVIDER_load(library, "default");
	if (default_provider == NULL ||
		OSSL_PROVIDER_add_builtin(NULL, "narrow", start) != 1 ||
		OSSL_PROVIDER_load(NULL, "narrow") == NULL)
	{
		printf("Bail out! no provider\n");
		return 1;
	}
	memcpy(private_der, private_head, sizeof(private_head));
	private_der[47] = 0x40;
	memcpy(public_der, public_head, sizeof(public_head));
	public_der[12] = 9;

	check(kms_algorithm_x25519() == NULL, "there is no X25519");
	opener = kms_key_pair_opener_new();
	check(opener != NULL && ERR_peek_error() == 0, "an opener all the same");

	check(kms_ec_generate(KMS_TYPE_X25519, &key) == KMS_NO_X25519 &&
		  key == NULL && ERR_peek_error() == 0, "no X25519 key is made");
	check(kms_key_pair_open_private(opener, KMS_TYPE_X25519,
									BYTES(private_der),
									&key) == KMS_NO_X25519 &&
		  key == NULL && ERR_peek_error() == 0, "none is opened");
	check(kms_key_pair_open_public(opener, KMS_TYPE_X25519, BYTES(public_der),
								   &key) == KMS_NO_X25519 &&
		  key == NULL && ERR_peek_error() == 0, "nor a public one");
	check(kms_key_pair_public_numbers(opener, KMS_TYPE_X25519,
									  BYTES(public_der),
									  &numbers) == KMS_NO_X25519 &&
		  is_all(&numbers, sizeof(numbers), 0), "nor are its numbers read");

	check(kms_pem_import(opener, pem, strlen(pem), &key,
						 &refusal) == KMS_NO_X25519 &&
		  key == NULL && refusal == KMS_REFUSED_NONE &&
		  ERR_peek_error() == 0, "none is imported");

	check(kms_ec_generate(KMS_TYPE_EC_P256, &key) == KMS_OK,
		  "a key on P-256 is made");
	kms_key_pair_free(key);
	check(kms_key_pair_open_private(opener, KMS_TYPE_RSA, BYTES(key_2048),
									&key) == KMS_OK, "an RSA key opens");
	kms_key_pair_free(key);
	check(kms_self_test_run(&what) == KMS_OK && what == NULL,
		  "the known answers of all others");
	check(strstr(kms_status_row(KMS_NO_X25519)->message, "X25519") != NULL &&
		  strstr(kms_status_row(KMS_NO_X25519)->hint, "provider") != NULL,
		  "the message names it, and where to look");
	kms_key_pair_opener_free(opener);
	OSSL_PROVIDER_unload(default_provider);
	return tap_done();
}
