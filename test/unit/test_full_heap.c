/*
 * The random number generator lives in the secure heap too.  This is a
 * program of its own because the heap must be full before the first random
 * number is drawn.
 */
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "crypto/aead.h"
#include "crypto/jwe.h"
#include "crypto/jwe_encrypt.h"
#include "crypto/key_pair.h"
#include "crypto/rsa_oaep.h"
#include "crypto/secure_heap.h"
#include "crypto/self_test_data.h"
#include "tap.h"

#define SECURE_HEAP 8192		/* bytes */
#define PIECE		32

#define CONTENT "content"
#define CONTENT_SIZE (sizeof(CONTENT) - 1)

/* The known block contains 16 bytes, which are a CEK for A128GCM. */
static void
make_jwe(KmsJwe *jwe, unsigned char *cipher, unsigned char *tag)
{
	static const unsigned char iv[12] = {1};
	KmsAead		aead = {
		KMS_A128GCM, (const unsigned char *) oaep_plaintext, iv, NULL, 0
	};

	memset(jwe, 0, sizeof(*jwe));
	jwe->alg = KMS_RSA_OAEP;
	jwe->enc = KMS_A128GCM;
	jwe->encrypted_key.at = oaep_sha1;
	jwe->encrypted_key.len = sizeof(oaep_sha1);
	jwe->iv.at = iv;
	jwe->iv.len = sizeof(iv);
	jwe->ciphertext.at = cipher;
	jwe->tag.at = tag;
	jwe->tag.len = 16;
	if (kms_aead_encrypt(&aead, (const unsigned char *) CONTENT, CONTENT_SIZE,
						 cipher, &jwe->ciphertext.len, tag) != KMS_OK)
		exit(2);
}

int
main(void)
{
	void	   *pieces[SECURE_HEAP / PIECE];
	KmsOaep		oaep = {KMS_SHA1, KMS_DIGEST_NONE, NULL, 0};
	KmsKeyOpener *opener = kms_key_pair_opener_new();
	KmsKeyPair *key = NULL;
	unsigned char out[KMS_RSA_MAX_BLOCK];
	unsigned char bad[sizeof(oaep_sha1)];
	unsigned char cipher[CONTENT_SIZE];
	unsigned char tag[KMS_JWE_TAG_MAX];
	KmsJweDraft draft;
	KmsJwe		jwe;
	size_t		len = 99;
	int			count = 0;

	check(kms_secure_heap_start(SECURE_HEAP) != 0, "a secure heap");
	check(kms_key_pair_open_private(opener, KMS_TYPE_RSA, test_rsa_key, sizeof(test_rsa_key),
									&key) == KMS_OK, "a key opens");
	make_jwe(&jwe, cipher, tag);
	while ((pieces[count] = OPENSSL_secure_malloc(PIECE)) != NULL)
		count++;

	memset(out, 0xff, sizeof(out));
	check(kms_rsa_oaep_decrypt(key, &oaep, oaep_sha1, sizeof(oaep_sha1),
							   out, &len) == KMS_NO_MEMORY &&
		  len == 0 && is_all(out, kms_key_pair_block_size(key), 0),
		  "a good ciphertext is not rejected for lack of random numbers");
	memset(out, 0xff, sizeof(out));
	check(kms_jwe_decrypt(key, &jwe, out, &len) == KMS_NO_MEMORY &&
		  len == 0 && is_all(out, CONTENT_SIZE, 0), "nor is a good JWE");
	memset(&draft, 0xff, sizeof(draft));
	check(kms_jwe_encrypt_begin(key, KMS_RSA_OAEP, KMS_A128GCM,
								&draft) == KMS_NO_MEMORY &&
		  is_all(&draft, sizeof(draft), 0), "and none is made");
	check(kms_rsa_oaep_check_pair(key) == KMS_FAILED && ERR_peek_error() == 0,
		  "a pair cannot be tested, and no error is left in the queue");
	while (count > 0)
		OPENSSL_secure_free(pieces[--count]);
	check(kms_rsa_oaep_decrypt(key, &oaep, oaep_sha1, sizeof(oaep_sha1),
							   out, &len) == KMS_OK &&
		  len == strlen(oaep_plaintext) &&
		  memcmp(out, oaep_plaintext, len) == 0,
		  "a key opens when there is room");
	check(kms_jwe_decrypt(key, &jwe, out, &len) == KMS_OK &&
		  len == CONTENT_SIZE && memcmp(out, CONTENT, len) == 0,
		  "and a JWE");
	tag[0] ^= 1;
	check(kms_jwe_decrypt(key, &jwe, out, &len) == KMS_REJECTED,
		  "a bad JWE is rejected");
	memcpy(bad, oaep_sha1, sizeof(bad));
	bad[100] ^= 1;
	check(kms_rsa_oaep_decrypt(key, &oaep, bad, sizeof(bad), out,
							   &len) == KMS_REJECTED, "a bad one is rejected");
	kms_key_pair_free(key);
	kms_key_pair_opener_free(opener);
	return tap_done();
}
