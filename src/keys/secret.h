/*
 * Hashing secrets that clients send encrypted, and comparing them with hashes.
 */
#ifndef KMS_KEYS_SECRET_H
#define KMS_KEYS_SECRET_H

#include "crypto/secret_hash.h"
#include "keys/call.h"
#include "keys/cipher.h"
#include "pg/fault.h"

/*
 * Open a ciphertext and hash its plaintext.  "hash" must hold
 * KMS_SECRET_HASH_MADE + 1 bytes.  If there is no pepper, one is made.
 */
extern KmsStatus kms_secret_hash(KmsCall *call,
								 const KmsCipherRequest *request, char *hash,
								 KmsFault *fault);

/* A secret to be verified, as it was sent. */
typedef struct KmsSecretAttempt
{
	KmsCipherRequest cipher;	/* data and jwe NULL: unusable */
	const KmsSecretHash *hash;	/* NULL: unusable */
	KmsStatus	unusable;		/* why one of them is; KMS_OK if neither is */
	const char *subject;		/* NULL: attempts are not counted */
} KmsSecretAttempt;

/*
 * Return KMS_OK if it is the secret of the hash.  If kms_secret_is_answer
 * accepts the status, the answer is "no": it takes as long as a wrong secret,
 * and counts against the subject.  Any other status, including KMS_LOCKED_OUT,
 * is no answer and does not count.
 */
extern KmsStatus kms_secret_verify(KmsCall *call,
								   const KmsSecretAttempt *attempt,
								   KmsFault *fault);

/* Return whether a status of kms_secret_verify is the answer "no". */
extern bool kms_secret_is_answer(KmsStatus status);

/*
 * Make the first pepper in the current transaction, if there is a master key.
 * Return false if none was made, for example because another session is making
 * it.
 */
extern bool kms_secret_make_first_pepper(void);

#endif							/* KMS_KEYS_SECRET_H */
