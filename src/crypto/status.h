/*
 * How an operation of kms ended.
 *
 * One enumeration serves every layer.  The pure layer returns the statuses of
 * the first group, keys/ adds those of the second, pg/fault raises them, and
 * ring files and kms.event_quarantine contain their numbers.  status_list.h
 * has the one table.
 */
#ifndef KMS_CRYPTO_STATUS_H
#define KMS_CRYPTO_STATUS_H

#include <stdbool.h>

#include "crypto/status_list.h"

#define KMS_STATUS_ENUM(name, number, kind, sqlstate, reason, message, hint) \
	name = number,

typedef enum KmsStatus
{
	KMS_STATUS_LIST(KMS_STATUS_ENUM)
} KmsStatus;

typedef enum KmsStatusKind
{
	KMS_STATUS_SUCCESS,
	KMS_STATUS_OF_DATA,			/* the ciphertext or the key is at fault, so
								 * kms_try_decrypt() returns NULL */
	KMS_STATUS_OF_CALL			/* the call or the server is at fault */
} KmsStatusKind;

/* The texts of a status; each is static.  See status_list.h. */
typedef struct KmsStatusRow
{
	KmsStatusKind kind;
	const char *sqlstate;		/* five characters */
	const char *reason;
	const char *message;
	const char *hint;
} KmsStatusRow;

/* Return the row of a status, or that of KMS_FAILED for an unknown number. */
extern const KmsStatusRow *kms_status_row(KmsStatus status);

/* Return the reason of its row: NULL for KMS_OK. */
extern const char *kms_status_reason(KmsStatus status);

/* Return whether the operation succeeded, even if nothing had to be done. */
extern bool kms_status_is_success(KmsStatus status);

#endif							/* KMS_CRYPTO_STATUS_H */
