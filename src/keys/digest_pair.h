/*
 * Trying pairs of digests on a ciphertext.  See keys/diagnose.h for what a
 * caller may learn.
 */
#ifndef KMS_KEYS_DIGEST_PAIR_H
#define KMS_KEYS_DIGEST_PAIR_H

#include "nodes/pg_list.h"

#include "crypto/digest.h"
#include "crypto/key_pair.h"

/* The outcome of a pair of digests. */
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
 * Try one pair, and the empty label, on "data", which has the length of the
 * key's block.  Set pair->opens.  The plaintext is wiped and never returned.
 */
extern KmsStatus kms_digest_pair_try(KmsKeyPair *key, KmsDigestPair *pair,
									 const unsigned char *data, size_t len);

/*
 * Try each OAEP digest with each MGF1 digest, and the empty label.  Set *pairs
 * (a list of KmsDigestPair) to those that open "data", which has the length of
 * the key's block.  All pairs are tried, even after one has opened it.  The
 * plaintext is wiped after each attempt and never returned.
 */
extern KmsStatus kms_digest_pair_try_all(KmsKeyPair *key,
										 const unsigned char *data,
										 size_t len, List **pairs);

#endif							/* KMS_KEYS_DIGEST_PAIR_H */
