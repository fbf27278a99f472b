/*
 * What a KmsRsaKey is made of: for rsa_key.c, which makes and opens keys,
 * and rsa.c, which uses them.
 */
#ifndef KMS_CRYPTO_RSA_KEY_H
#define KMS_CRYPTO_RSA_KEY_H

#include <openssl/evp.h>

#include "crypto/rsa.h"

/* A context set up for one operation and pair of digests, without a label. */
typedef struct KmsRsaTemplate
{
	bool		decrypt;
	KmsDigest	digest;
	KmsDigest	mgf1;
	EVP_PKEY_CTX *ctx;
	struct KmsRsaTemplate *next;
} KmsRsaTemplate;

struct KmsRsaKey
{
	EVP_PKEY   *pkey;
	int			bits;
	bool		is_private;
	KmsRsaTemplate *templates;	/* NULL until first used */
};

/*
 * Is there a secure heap without room for the numbers of one more private
 * key, whose modulus has this many bytes?
 */
extern bool kms_secure_heap_is_full(size_t modulus_size);

/* Encrypt a random block and decrypt it; KMS_FAILED if that goes wrong. */
extern KmsStatus kms_rsa_check_pair(KmsRsaKey *key);

#endif							/* KMS_CRYPTO_RSA_KEY_H */
