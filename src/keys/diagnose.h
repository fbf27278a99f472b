/*
 * Looking for what keeps a ciphertext from being opened, for the operator
 * whose client does not work.
 *
 * What may be told is whether a pair of digests opens the ciphertext, and
 * whether the plaintext is text.  Nothing here may tell of a block that does
 * not open why it does not: not whether it has the padding of PKCS#1 v1.5,
 * nor where its padding is wrong.  Either would be an oracle by which any
 * ciphertext of the key is opened, a block at a time, with no right to
 * decrypt (Bleichenbacher, CRYPTO '98, for PKCS#1 v1.5; Manger, CRYPTO 2001,
 * for OAEP).
 */
#ifndef KMS_KEYS_DIAGNOSE_H
#define KMS_KEYS_DIAGNOSE_H

#include "crypto/rsa_key.h"
#include "keys/call.h"
#include "pg/fault.h"
#include "store/key.h"

typedef struct KmsDiagnosis
{
	KmsKey		found;
	KmsStatus	refused;		/* KMS_OK; or what state or expiry say */
	KmsRsaKey  *key;			/* the cache's (keys/opened.h); NULL if
								 * refused */
} KmsDiagnosis;

/* What a pair of digests does with a ciphertext. */
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
 * Find the key and open it as kms_decrypt does; fails as it does, but that a
 * state or an expiry which refuses the key is told and not a failure.
 */
extern KmsStatus kms_diagnose_key(KmsCall *call, const char *key_id,
								  KmsDiagnosis *diagnosis, KmsFault *fault);

/*
 * Try each digest of OAEP with each of MGF1 and the empty label, all of them
 * in any case: KmsDigestPair *, those that open "data", which has the length
 * of the key's block.  Follows kms_diagnose_key with no other call of a key
 * between.  The plaintext is wiped after each try and never leaves.
 */
extern KmsStatus kms_diagnose_digests(const KmsDiagnosis *diagnosis,
									  const unsigned char *data, size_t len,
									  List **pairs, KmsFault *fault);

/*
 * Ids of other keys of the device which decrypt now, newest first, at most
 * "limit".
 */
extern List *kms_diagnose_other_keys(const KmsDiagnosis *diagnosis, int limit);

#endif							/* KMS_KEYS_DIAGNOSE_H */
