/*
 * The random number generator lives in the secure heap too.  This is a
 * program of its own because the heap must be full before the first random
 * number is drawn.
 */
#include <stdlib.h>

#include <openssl/crypto.h>

#include "crypto/rsa_key.h"
#include "crypto/rsa_oaep.h"
#include "crypto/secure_heap.h"
#include "crypto/self_test_data.h"
#include "tap.h"

#define SECURE_HEAP 8192		/* bytes */
#define PIECE		32

int
main(void)
{
	void	   *pieces[SECURE_HEAP / PIECE];
	KmsOaep		oaep = {KMS_SHA1, KMS_DIGEST_NONE, NULL, 0};
	KmsRsaOpener *opener = kms_rsa_key_opener_new();
	KmsRsaKey  *key = NULL;
	unsigned char out[KMS_RSA_MAX_BLOCK];
	unsigned char bad[sizeof(oaep_sha1)];
	size_t		len = 99;
	int			count = 0;

	check(kms_secure_heap_start(SECURE_HEAP) != 0, "a secure heap");
	check(kms_rsa_key_open_private(opener, test_rsa_key, sizeof(test_rsa_key),
								   &key) == KMS_OK, "a key opens");
	while ((pieces[count] = OPENSSL_secure_malloc(PIECE)) != NULL)
		count++;

	memset(out, 0xff, sizeof(out));
	check(kms_rsa_oaep_decrypt(key, &oaep, oaep_sha1, sizeof(oaep_sha1),
							   out, &len) == KMS_NO_MEMORY &&
		  len == 0 && is_all(out, kms_rsa_key_block_size(key), 0),
		  "a good ciphertext is not rejected for lack of random numbers");
	while (count > 0)
		OPENSSL_secure_free(pieces[--count]);
	check(kms_rsa_oaep_decrypt(key, &oaep, oaep_sha1, sizeof(oaep_sha1),
							   out, &len) == KMS_OK &&
		  len == strlen(oaep_plaintext) &&
		  memcmp(out, oaep_plaintext, len) == 0,
		  "a key opens when there is room");
	memcpy(bad, oaep_sha1, sizeof(bad));
	bad[100] ^= 1;
	check(kms_rsa_oaep_decrypt(key, &oaep, bad, sizeof(bad), out,
							   &len) == KMS_REJECTED, "a bad one is rejected");
	kms_rsa_key_free(key);
	kms_rsa_key_opener_free(opener);
	return tap_done();
}
