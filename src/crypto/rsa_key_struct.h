/*
 * The structure of a KmsRsaKey, for the files rsa_….
 */
#ifndef KMS_CRYPTO_RSA_KEY_STRUCT_H
#define KMS_CRYPTO_RSA_KEY_STRUCT_H

#include <openssl/evp.h>

#include "crypto/digest.h"
#include "crypto/rsa_key.h"

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
 * Make a key that owns "pkey".  If NULL is returned, "pkey" is still the
 * caller's.
 */
extern KmsRsaKey *kms_rsa_key_new(EVP_PKEY *pkey, bool is_private);

#endif							/* KMS_CRYPTO_RSA_KEY_STRUCT_H */
