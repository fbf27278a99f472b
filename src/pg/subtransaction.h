/* Running work whose errors are caught, in a subtransaction. */
#ifndef KMS_PG_SUBTRANSACTION_H
#define KMS_PG_SUBTRANSACTION_H

#include "utils/elog.h"

/* Return true to keep the changes, false to undo them. */
typedef bool (*KmsSubtransactionBody) (void *arg);

/*
 * Run "body" in a subtransaction, and return whether its changes were kept.
 *
 * If it raised an error, its changes are undone, and *error is a copy in the
 * caller's memory context, which the caller frees (FreeErrorData) or raises
 * again (ReThrowError); otherwise *error is NULL.  The caller must raise those
 * errors again that end the caller's work, too, such as a cancel.
 *
 * "lock_timeout" is the value of that setting while "body" runs, or NULL to
 * leave it as it is.
 */
extern bool kms_subtransaction_run(KmsSubtransactionBody body, void *arg,
								   const char *lock_timeout,
								   ErrorData **error);

/*
 * Return what may be shown of such an error: its message, or, because that of
 * a data exception may quote a row, only its SQLSTATE, palloc'd.
 */
extern const char *kms_subtransaction_error_text(const ErrorData *error);

#endif							/* KMS_PG_SUBTRANSACTION_H */
