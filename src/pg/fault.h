/*
 * The one place that raises a status, with the SQLSTATE, the message and the
 * hint of its row in crypto/status_list.h.
 */
#ifndef KMS_PG_FAULT_H
#define KMS_PG_FAULT_H

#include "crypto/master_key.h"
#include "crypto/status.h"
#include "datatype/timestamp.h"
#include "pg/compat.h"

/*
 * Add this to the arguments of each ereport that a call can raise: the
 * statement may contain a secret, and must not be logged with the message.
 */
#define KMS_HIDE_STATEMENT	errhidestmt(true), errhidecontext(true)

/*
 * The details of a failed call.  The functions below fill it and return its
 * status, so that a check reads "return kms_fault_…(fault, …)".  Strings are
 * the caller's or static and must live until the fault is raised.  None may
 * hold plaintext, key bytes, or an id that has not been found to be one.
 */
typedef struct KmsFault
{
	KmsStatus	status;
	int			sqlstate;		/* 0: the status's own */
	const char *key_id;			/* NULL if none may be named */
	const char *device_id;
	const char *message;		/* NULL: the status's own */
	const char *detail;			/* NULL: none */
	const char *hint;			/* NULL: the status's own, if it has one */
	TimestampTz retry_at;		/* of KMS_RATE_LIMITED, KMS_LOCKED_OUT */
	unsigned char master_key_id[KMS_MASTER_KEY_ID_SIZE];
} KmsFault;

/*
 * Return true if the data or the key is at fault, so that kms_try_decrypt
 * returns NULL.
 */
extern bool kms_fault_is_tried(KmsStatus status);

/*
 * Fill *fault and return its status: for any status, for an invalid argument,
 * for an argument that is NULL, and for a malformed ciphertext.
 */
extern KmsStatus kms_fault(KmsFault *fault, KmsStatus status);
extern KmsStatus kms_fault_argument(KmsFault *fault, const char *message,
									const char *detail, const char *hint);
extern KmsStatus kms_fault_null(KmsFault *fault, const char *message);
extern KmsStatus kms_fault_ciphertext(KmsFault *fault, const char *message,
									  const char *detail);

/* Return the SQLSTATE of the error, as errcode takes it. */
extern int	kms_fault_sqlstate(const KmsFault *fault);

/*
 * Raise the error.  The statement and the context are kept out of the server
 * log.
 */
pg_noreturn extern void kms_fault_raise(const KmsFault *fault);

#endif							/* KMS_PG_FAULT_H */
