/*
 * What an operation of kms ended with.
 *
 * One enumeration serves every layer: the pure layer returns the first group,
 * keys/ adds the second, pg/errors turns each into one SQLSTATE, message and
 * hint, and the trail stores the number.  Numbers are kept in the ring file
 * and in what it replays, so they never change their meaning; new ones are
 * added at the end of their group.
 */
#ifndef KMS_CRYPTO_STATUS_H
#define KMS_CRYPTO_STATUS_H

#include <stdbool.h>

typedef enum KmsStatus
{
	KMS_OK = 0,

	/* the pure layer */
	KMS_REJECTED = 1,			/* undecryptable; nobody may know why (KM001) */
	KMS_BAD_LENGTH = 2,			/* ciphertext has not the length of the key */
	KMS_TOO_LONG = 3,			/* plaintext does not fit the key and digest */
	KMS_BAD_KEY = 4,			/* key material is malformed or inconsistent */
	KMS_NOT_AUTHENTIC = 5,		/* wrap or seal does not verify (XX001) */
	KMS_INTERRUPTED = 6,		/* the stop callback asked for it */
	KMS_NO_MEMORY = 7,			/* also: the secure heap is exhausted */
	KMS_FAILED = 8,				/* the library failed where it should not */
	KMS_BAD_FORMAT = 9,			/* text or bytes are not of the form required */
	KMS_OTHER_MASTER_KEY = 10,	/* made under a master key not given (KM007) */

	/* a call of the service */
	KMS_KEY_NOT_FOUND = 32,		/* KM002 */
	KMS_KEY_EXPIRED = 33,		/* KM003 */
	KMS_KEY_DISABLED = 34,		/* KM004 and the next three */
	KMS_KEY_REVOKED = 35,
	KMS_KEY_PENDING_DELETION = 36,
	KMS_KEY_DEPRECATED = 37,
	KMS_RATE_LIMITED = 38,		/* KM005 */
	KMS_TOO_LARGE = 39,			/* KM006 */
	KMS_NO_MASTER_KEY = 40,		/* KM007 */
	KMS_INVALID_ARGUMENT = 41,	/* 22023, 22004 */
	KMS_BAD_CIPHERTEXT = 42,	/* 22023 that is the ciphertext's fault */
	KMS_NOT_TEXT = 43,			/* 22021 */
	KMS_ROLLED_BACK = 44,		/* a change whose transaction was undone */
	KMS_UNFINISHED = 45,		/* another error ended the call: a cancel, … */
	KMS_UNCHANGED = 46,			/* a success: it was so already */
	KMS_WRONG_STATE = 47,		/* KM004 of a transition that there is not */
	KMS_MISMATCH = 48,			/* the secret is not the one of the hash */
	KMS_LOCKED_OUT = 49,		/* KM009 */
	KMS_NO_TLS = 50,			/* 28000 */
	KMS_NO_PEPPER = 51,			/* a hash names one that is not here (XX001) */
	KMS_NO_EPOCH_KEY = 52,		/* no master key for this month (KM007) */
	KMS_NOT_AUDITED = 53		/* its event is not durable (KM008) */
} KmsStatus;

/*
 * The reason that the trail and the metrics show, "Failed to decrypt data" and
 * so on; NULL for KMS_OK.
 */
extern const char *kms_status_reason(KmsStatus status);

/* KMS_OK, or that nothing had to be done. */
extern bool kms_status_is_success(KmsStatus status);

#endif							/* KMS_CRYPTO_STATUS_H */
