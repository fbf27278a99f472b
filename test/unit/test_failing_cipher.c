/*
 * A library that fails where it should not, after it has written plaintext or
 * ciphertext: nothing of that is left.  The function that gets and sets tags
 * is this program's, which is why the program stands alone.
 */
#include <dlfcn.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/aead.h"
#include "crypto/field_value.h"
#include "tap.h"

#define CONTENT "the content of a message"
#define CONTENT_SIZE sizeof(CONTENT)
#define VALUE_SIZE (CONTENT_SIZE + KMS_FIELD_VALUE_OVERHEAD)

static bool fails;

int
EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *ctx, int type, int arg, void *ptr)
{
	static int	(*usual) (EVP_CIPHER_CTX *, int, int, void *);

	if (fails)
	{
		ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
		return 0;
	}
	if (usual == NULL)
		*(void **) &usual = dlsym(RTLD_NEXT, "EVP_CIPHER_CTX_ctrl");
	return usual(ctx, type, arg, ptr);
}

static void
test_xaes(KmsXaes *xaes)
{
	static const unsigned char nonce[KMS_XAES_NONCE_SIZE] = {1};
	const unsigned char *plain = (const unsigned char *) CONTENT;
	unsigned char cipher[CONTENT_SIZE];
	unsigned char out[CONTENT_SIZE];
	unsigned char tag[KMS_XAES_TAG_SIZE];

	memset(cipher, 0xff, sizeof(cipher));
	memset(tag, 0xff, sizeof(tag));
	fails = true;
	check(kms_xaes_encrypt(xaes, nonce, NULL, 0, plain, CONTENT_SIZE, cipher,
						   tag) == KMS_FAILED &&
		  is_all(cipher, sizeof(cipher), 0) && is_all(tag, sizeof(tag), 0) &&
		  ERR_peek_error() == 0, "XAES: encrypt");
	fails = false;
	check(kms_xaes_encrypt(xaes, nonce, NULL, 0, plain, CONTENT_SIZE, cipher,
						   tag) == KMS_OK, "XAES: encrypt again");
	memset(out, 0xff, sizeof(out));
	fails = true;
	check(kms_xaes_decrypt(xaes, nonce, NULL, 0, cipher, CONTENT_SIZE, tag,
						   out) == KMS_FAILED &&
		  is_all(out, sizeof(out), 0) && ERR_peek_error() == 0,
		  "XAES: decrypt");
	fails = false;
	check(kms_xaes_decrypt(xaes, nonce, NULL, 0, cipher, CONTENT_SIZE, tag,
						   out) == KMS_OK &&
		  memcmp(out, CONTENT, CONTENT_SIZE) == 0, "XAES: decrypt again");
}

static void
test_value(KmsXaes *xaes)
{
	static const KmsFieldHead head = {{1}, 1};
	static const unsigned char nonce[KMS_XAES_NONCE_SIZE] = {2};
	unsigned char value[VALUE_SIZE];
	unsigned char out[CONTENT_SIZE];

	memset(value, 0xff, sizeof(value));
	fails = true;
	check(kms_field_value_encrypt(xaes, &head, nonce, NULL, 0,
								  (const unsigned char *) CONTENT,
								  CONTENT_SIZE, value) == KMS_FAILED &&
		  is_all(value, sizeof(value), 0), "value: encrypt");
	fails = false;
	if (kms_field_value_encrypt(xaes, &head, nonce, NULL, 0,
								(const unsigned char *) CONTENT,
								CONTENT_SIZE, value) != KMS_OK)
		exit(2);
	memset(out, 0xff, sizeof(out));
	fails = true;
	check(kms_field_value_decrypt(xaes, value, sizeof(value), NULL, 0,
								  out) == KMS_FAILED &&
		  is_all(out, sizeof(out), 0), "value: decrypt");
	fails = false;
}

static void
test_aead(void)
{
	static const unsigned char cek[32] = {1};
	static const unsigned char iv[12] = {2};
	static const KmsAead aead = {KMS_A256GCM, cek, iv, NULL, 0};
	unsigned char cipher[CONTENT_SIZE];
	unsigned char out[CONTENT_SIZE];
	unsigned char tag[KMS_JWE_TAG_MAX];
	size_t		len = 99;

	memset(cipher, 0xff, sizeof(cipher));
	memset(tag, 0xff, sizeof(tag));
	fails = true;
	check(kms_aead_encrypt(&aead, (const unsigned char *) CONTENT,
						   CONTENT_SIZE, cipher, &len, tag) == KMS_FAILED &&
		  len == 0 && is_all(cipher, sizeof(cipher), 0) &&
		  is_all(tag, kms_jwe_algorithm_tag_size(aead.enc), 0),
		  "content of a JWE: encrypt");
	fails = false;
	if (kms_aead_encrypt(&aead, (const unsigned char *) CONTENT, CONTENT_SIZE,
						 cipher, &len, tag) != KMS_OK)
		exit(2);
	memset(out, 0xff, sizeof(out));
	fails = true;
	check(kms_aead_decrypt(&aead, cipher, len, tag, out, &len) == KMS_FAILED &&
		  len == 0 && is_all(out, sizeof(out), 0),
		  "content of a JWE: decrypt");
	fails = false;
}

int
main(void)
{
	static const unsigned char key[KMS_XAES_KEY_SIZE] = {1};
	KmsXaes    *xaes = NULL;

	if (kms_xaes_new(key, &xaes) != KMS_OK)
		exit(2);
	test_xaes(xaes);
	test_value(xaes);
	test_aead();
	kms_xaes_free(xaes);
	return tap_done();
}
