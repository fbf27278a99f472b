/*
 * One allocation of OpenSSL fails, each in turn, while a process opens its
 * first key of a type or makes a key.  The next attempt works, no failure is
 * taken for a provider without X25519, and none leaves an error in OpenSSL's
 * queue.  This is a program of its own because the memory functions must be
 * set before OpenSSL has allocated anything.
 */
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "crypto/algorithm.h"
#include "crypto/ec_generate.h"
#include "crypto/key_pair.h"
#include "crypto/self_test_data.h"
#include "tap.h"

#define BYTES(array) array, sizeof(array)

static long countdown = 0;		/* the allocation that fails; 0: none */

static bool
is_to_fail(void)
{
	return countdown > 0 && --countdown == 0;
}

static void *
allocate(size_t size, const char *file, int line)
{
	(void) file;
	(void) line;
	return is_to_fail() ? NULL : malloc(size);
}

static void *
reallocate(void *block, size_t size, const char *file, int line)
{
	(void) file;
	(void) line;
	return is_to_fail() ? NULL : realloc(block, size);
}

static void
release(void *block, const char *file, int line)
{
	(void) file;
	(void) line;
	free(block);
}

/* ---- Opening a key ----------------------------------------------------- */

/* Return whether the allocation was reached. */
static bool
fail_at(long allocation, KmsKeyType type, const unsigned char *der, size_t len,
		int *wrong)
{
	KmsKeyOpener *opener;
	KmsKeyPair *key = NULL;
	KmsStatus	status = KMS_NO_MEMORY;
	bool		reached;

	countdown = allocation;
	opener = kms_key_pair_opener_new();
	if (opener != NULL)
		status = kms_key_pair_open_private(opener, type, der, len, &key);
	reached = countdown == 0;
	countdown = 0;
	if (status == KMS_NO_X25519 || (status == KMS_OK) != (key != NULL) ||
		ERR_peek_error() != 0)
		(*wrong)++;
	kms_key_pair_free(key);

	if (opener == NULL)
		opener = kms_key_pair_opener_new();
	if (kms_key_pair_open_private(opener, type, der, len, &key) != KMS_OK)
		(*wrong)++;
	kms_key_pair_free(key);
	kms_key_pair_opener_free(opener);
	return reached;
}

static void
test_type(KmsKeyType type, const unsigned char *der, size_t len,
		  const char *name)
{
	long		allocation = 1;
	int			wrong = 0;

	while (fail_at(allocation, type, der, len, &wrong))
		allocation++;
	check(allocation > 10, "%s is opened: allocations fail", name);
	check_number(wrong, 0, "each failure is over at the next attempt");
}

/* ---- Making a key ------------------------------------------------------ */

static void
test_generate(KmsKeyType type, const char *name)
{
	long		allocation = 0;
	int			wrong = 0;
	bool		reached;

	do
	{
		KmsKeyPair *key;
		KmsStatus	status;

		countdown = ++allocation;
		status = kms_ec_generate(type, &key);
		reached = countdown == 0;
		countdown = 0;
		if (status == KMS_NO_X25519 || (status == KMS_OK) != (key != NULL) ||
			ERR_peek_error() != 0)
			wrong++;
		kms_key_pair_free(key);
	} while (reached);
	check(allocation > 10, "%s is made: allocations fail", name);
	check_number(wrong, 0, "no error is left in the queue");
}

int
main(void)
{
	if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1)
	{
		printf("Bail out! OpenSSL has allocated memory\n");
		return 1;
	}
	check(kms_algorithm_x25519() != NULL, "there is X25519");
	test_type(KMS_TYPE_RSA, BYTES(test_rsa_key), "RSA");
	test_type(KMS_TYPE_EC_P256, BYTES(p256_jwe_key), "P-256");
	test_type(KMS_TYPE_X25519, BYTES(x25519_jwe_key), "X25519");
	test_generate(KMS_TYPE_EC_P256, "P-256");
	test_generate(KMS_TYPE_X25519, "X25519");
	return tap_done();
}
