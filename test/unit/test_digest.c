#include "crypto/digest.h"
#include "tap.h"

#include <openssl/evp.h>

typedef struct Case
{
	KmsDigest	digest;
	int			number;			/* bound into seals */
	const char *name;
	size_t		size;
	const char *jwa_name;
} Case;

static const Case cases[] = {
	{KMS_SHA1, 1, "sha1", 20, "RSA-OAEP"},
	{KMS_SHA224, 2, "sha224", 28, NULL},
	{KMS_SHA256, 3, "sha256", 32, "RSA-OAEP-256"},
	{KMS_SHA384, 4, "sha384", 48, "RSA-OAEP-384"},
	{KMS_SHA512, 5, "sha512", 64, "RSA-OAEP-512"},
	{KMS_SHA512_224, 6, "sha512-224", 28, NULL},
	{KMS_SHA512_256, 7, "sha512-256", 32, NULL}
};

static const char *const unknown[] = {
	"", "SHA1", "sha-1", "sha2-256", "sha3-256", "md5", "sha512/256", "sha1 ",
	"none"
};

static void
test_known(const Case *c)
{
	EVP_MD	   *md;

	check_number(c->digest, c->number, c->name);
	check(kms_digest_by_name(c->name) == c->digest, "%s by name", c->name);
	check(strcmp(kms_digest_name(c->digest), c->name) == 0,
		  "the name of %s", c->name);
	check(kms_digest_size(c->digest) == c->size, "the size of %s", c->name);

	check(c->jwa_name == NULL ? kms_digest_jwa_name(c->digest) == NULL :
		  strcmp(kms_digest_jwa_name(c->digest), c->jwa_name) == 0,
		  "the registered name of OAEP with %s", c->name);

	md = EVP_MD_fetch(NULL, kms_digest_openssl_name(c->digest), NULL);
	check(md != NULL && EVP_MD_get_size(md) == (int) c->size,
		  "OpenSSL has %s with that size", c->name);
	EVP_MD_free(md);
}

static void
test_unknown(KmsDigest digest)
{
	check(kms_digest_name(digest) == NULL &&
		  kms_digest_openssl_name(digest) == NULL &&
		  kms_digest_jwa_name(digest) == NULL &&
		  kms_digest_size(digest) == 0,
		  "digest %d is unknown", (int) digest);
}

int
main(void)
{
	size_t		i;

	check_number(LENGTH_OF(cases) + 1, KMS_DIGEST_COUNT, "all are tested");
	for (i = 0; i < LENGTH_OF(cases); i++)
		test_known(&cases[i]);
	for (i = 0; i < LENGTH_OF(unknown); i++)
		check(kms_digest_by_name(unknown[i]) == KMS_DIGEST_NONE,
			  "\"%s\" is no digest", unknown[i]);
	check(kms_digest_by_name(NULL) == KMS_DIGEST_NONE, "NULL is no digest");
	test_unknown(KMS_DIGEST_NONE);
	test_unknown((KmsDigest) KMS_DIGEST_COUNT);
	test_unknown((KmsDigest) -1);
	return tap_done();
}
