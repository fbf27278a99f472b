/*
 * The structure of a KmsKeyPair, for files that hand its key to OpenSSL.
 */
#ifndef KMS_CRYPTO_KEY_PAIR_STRUCT_H
#define KMS_CRYPTO_KEY_PAIR_STRUCT_H

#include <openssl/evp.h>

#include "crypto/digest.h"
#include "crypto/key_pair.h"

/* A context set up to encrypt with a pair of digests, without a label. */
typedef struct KmsOaepTemplate
{
	KmsDigest	digest;
	KmsDigest	mgf1;
	EVP_PKEY_CTX *ctx;
	struct KmsOaepTemplate *next;
} KmsOaepTemplate;

struct KmsKeyPair
{
	int			references;
	EVP_PKEY   *pkey;
	KmsKeyType	type;
	int			bits;			/* of the modulus; 0: not RSA */
	bool		is_private;

	/* of RSA; NULL until first used */
	KmsOaepTemplate *templates;
	EVP_PKEY_CTX *raw;			/* the private operation, without padding */
	struct KmsLaneKey *lane_key;
	bool		lane_unfit;		/* there cannot be a lane key */

	/* of ECDH; NULL until first used */
	EVP_PKEY_CTX *agreement;
	EVP_PKEY   *peer;			/* gets the other public half for each call */
};

/*
 * Make a key of this type that owns "pkey".  If NULL is returned, "pkey" is
 * still the caller's.
 */
extern KmsKeyPair *kms_key_pair_new(EVP_PKEY *pkey, KmsKeyType type,
									bool is_private);

#endif							/* KMS_CRYPTO_KEY_PAIR_STRUCT_H */
