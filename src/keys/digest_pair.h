/*
 * Trying pairs of digests with a ciphertext.  See keys/diagnose.h for what a
 * caller may be told of the outcome.
 */
#ifndef KMS_KEYS_DIGEST_PAIR_H
#define KMS_KEYS_DIGEST_PAIR_H

#include "nodes/pg_list.h"

#include "crypto/digest.h"
#include "crypto/rsa_key.h"

/* The outcome of a pair of digests with a ciphertext. */
typedef enum KmsOpens
{
	KMS_OPENS_NOT = 0,
	KMS_OPENS_TEXT,				/* text in the database's encoding */
	KMS_OPENS_BYTES
} KmsOpens;

typedef struct KmsDigestPair
{
	KmsDigest	digest;
	KmsDigest	mgf1;
	KmsOpens	opens;
} KmsDigestPair;

/*
 * Try each digest of OAEP with each of MGF1 and the empty label, all of them
 * in any case, and set *pairs (of KmsDigestPair) to those that open "data",
 * which has the length of the key's block.  The plaintext is wiped after each
 * try and never leaves.
 */
extern KmsStatus kms_digest_pair_try_all(KmsRsaKey *key,
										 const unsigned char *data,
										 size_t len, List **pairs);

#endif							/* KMS_KEYS_DIGEST_PAIR_H */
