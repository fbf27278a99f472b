/*
 * Hashing secrets that clients send encrypted, and comparing with hashes.
 */
#ifndef KMS_KEYS_SECRET_H
#define KMS_KEYS_SECRET_H

#include "crypto/secret_hash.h"
#include "keys/call.h"
#include "keys/cipher.h"
#include "pg/fault.h"

/*
 * Open a ciphertext and hash what is in it; "hash" holds
 * KMS_SECRET_HASH_MADE + 1 bytes.  Makes the first pepper if need be.
 */
extern KmsStatus kms_secret_hash(KmsCall *call,
								 const KmsCipherRequest *request, char *hash,
								 KmsFault *fault);

/* What is to be verified, as it was sent. */
typedef struct KmsSecretAttempt
{
	KmsCipherRequest cipher;	/* data NULL: cannot be used */
	const KmsSecretHash *hash;	/* NULL: cannot be used */
	KmsStatus	unusable;		/* why, of either; KMS_OK if both can be */
	const char *subject;		/* NULL: attempts are not counted */
} KmsSecretAttempt;

/*
 * KMS_OK: it is the secret of the hash.  What kms_secret_is_answer says of is
 * "no", told in the time of a wrong secret and counted against the subject.
 * Anything else, KMS_LOCKED_OUT too, is no answer and is not counted.
 */
extern KmsStatus kms_secret_verify(KmsCall *call,
								   const KmsSecretAttempt *attempt,
								   KmsFault *fault);

extern bool kms_secret_is_answer(KmsStatus status);

/*
 * Make the pepper if there is none and a master key is there; in the current
 * transaction.  False if nothing was made, as when somebody else is at it.
 */
extern bool kms_secret_make_first_pepper(void);

#endif							/* KMS_KEYS_SECRET_H */
