/*
 * Recording calls of field functions.
 *
 * The first call of each kind in a transaction is an event at once.  A kind is
 * operation, key, roles, audit context and outcome.  Further calls of a kind
 * are added up, and their sum is recorded as one event with their number: when
 * the client's statement or the transaction ends, after KMS_FIELD_CALLS_MAX
 * calls, or when a second has passed since the first of them.
 *
 *	kms_field_call_begin(&call, KMS_OP_DECRYPT_FIELD, KMS_RIGHT_DECRYPT);
 *	if (!kms_field_call_is_summed(&call, key))
 *		kms_field_call_record(&call);
 *	…
 *	kms_field_call_end(&call, status);
 */
#ifndef KMS_KEYS_FIELD_CALL_H
#define KMS_KEYS_FIELD_CALL_H

#include "keys/call.h"
#include "keys/field_opened.h"

#define KMS_FIELD_CALLS_MAX 10000	/* calls in a sum */

typedef struct KmsFieldCall
{
	KmsOperation operation;
	KmsFieldCaller caller;
	Oid			outer;			/* role after SET ROLE */
	Oid			session;		/* role that logged in */
	int			sum;			/* number of an open sum, or -1 */
	bool		first;			/* of its kind: it has an event of its own */
	KmsStatus	outcome;		/* set if it is the first */
	KmsCall    *call;			/* NULL while the call is only summed */
	char		label[KMS_FIELD_LABEL_SIZE];
} KmsFieldCall;

/* Register the transaction callbacks.  Called once, from _PG_init. */
extern void kms_field_call_install(void);

/* Begin a call.  Raise the errors of kms_service_require. */
extern void kms_field_call_begin(KmsFieldCall *call, KmsOperation operation,
								 KmsFieldRight right);

/*
 * Return whether a success with this key has only to be added to an open sum,
 * for which there is room in the ring.
 */
extern bool kms_field_call_is_summed(KmsFieldCall *call,
									 const KmsFieldKey *key);

/*
 * Begin an event for the call, with the errors and waits of kms_call_begin.
 * Until the call ends, an error records it as "Interrupted".
 */
extern void kms_field_call_record(KmsFieldCall *call);

/*
 * Claim room for the event of a call that decrypts.  Return true if the call
 * waited: the caller must then judge the key again.
 */
extern bool kms_field_call_make_room(KmsFieldCall *call);

/*
 * End the call.  With kms.audit = required, the event of a first call is
 * durable before this returns; that wait may raise KM008, or the error of a
 * cancel, and then the caller must wipe the secret that it holds.
 */
extern void kms_field_call_end(KmsFieldCall *call, KmsStatus status);

/*
 * The same, but leave the wait to the caller, which calls
 * kms_field_call_settled once all events are durable.  Until then, no other
 * call is added to a sum instead of waiting.
 */
extern void kms_field_call_submit(KmsFieldCall *call, KmsStatus status);
extern void kms_field_call_settled(const KmsFieldCall *call);

/* End the call without recording it, because another one has failed. */
extern void kms_field_call_drop(KmsFieldCall *call);

#endif							/* KMS_KEYS_FIELD_CALL_H */
