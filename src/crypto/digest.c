#include <string.h>

#include "crypto/digest.h"

typedef struct DigestEntry
{
	const char *name;
	const char *openssl_name;
	size_t		size;
	const char *jwa_name;
} DigestEntry;

static const DigestEntry digests[KMS_DIGEST_COUNT] = {
	[KMS_SHA1] = {"sha1", "SHA1", 20, "RSA-OAEP"},
	[KMS_SHA224] = {"sha224", "SHA2-224", 28, NULL},
	[KMS_SHA256] = {"sha256", "SHA2-256", 32, "RSA-OAEP-256"},
	[KMS_SHA384] = {"sha384", "SHA2-384", 48, "RSA-OAEP-384"},
	[KMS_SHA512] = {"sha512", "SHA2-512", 64, "RSA-OAEP-512"},
	[KMS_SHA512_224] = {"sha512-224", "SHA2-512/224", 28, NULL},
	[KMS_SHA512_256] = {"sha512-256", "SHA2-512/256", 32, NULL}
};

static const DigestEntry *entry_of(KmsDigest digest);

KmsDigest
kms_digest_by_name(const char *name)
{
	int			i;

	if (name == NULL)
		return KMS_DIGEST_NONE;
	for (i = KMS_SHA1; i < KMS_DIGEST_COUNT; i++)
	{
		if (strcmp(digests[i].name, name) == 0)
			return (KmsDigest) i;
	}
	return KMS_DIGEST_NONE;
}

const char *
kms_digest_name(KmsDigest digest)
{
	return entry_of(digest)->name;
}

const char *
kms_digest_openssl_name(KmsDigest digest)
{
	return entry_of(digest)->openssl_name;
}

size_t
kms_digest_size(KmsDigest digest)
{
	return entry_of(digest)->size;
}

const char *
kms_digest_jwa_name(KmsDigest digest)
{
	return entry_of(digest)->jwa_name;
}

/*
 * Return the entry of a digest.  Unknown values get the entry of NONE, which
 * is all zero.
 */
static const DigestEntry *
entry_of(KmsDigest digest)
{
	int			i = (int) digest;

	if (i < 0 || i >= KMS_DIGEST_COUNT)
		i = KMS_DIGEST_NONE;
	return &digests[i];
}
