/*
 * One call of an operation, and the one event that records it.
 *
 *	call = kms_call_begin(KMS_OP_DECRYPT);
 *	kms_call_key(call, key_id);
 *	…
 *	kms_call_end(call, status);
 *
 * Up to KMS_CALLS_TOGETHER calls of a batch may be open at the same time, and
 * end in any order.
 *
 * If another error ends the call (a cancel, lack of memory), the abort
 * callbacks record it as "Interrupted".  If the transaction of a successful
 * change is rolled back, they record the change as "Rolled back".
 */
#ifndef KMS_KEYS_CALL_H
#define KMS_KEYS_CALL_H

#include "crypto/status.h"
#include "shmem/ring.h"
#include "shmem/shared.h"

#define KMS_CALLS_TOGETHER 8

typedef struct KmsCall KmsCall;

/* Register the transaction callbacks.  Called once, from _PG_init. */
extern void kms_call_install(void);

/*
 * Begin a call.  Raise the errors of kms_service_require, and KM008 if
 * kms.audit = required and its event cannot be recorded.  May wait for room in
 * the ring (kms_wait_for_debt).
 */
extern KmsCall *kms_call_begin(KmsOperation operation);

/* Return how many calls can be open together from now on, 1 at least. */
extern int	kms_call_places(void);

/*
 * Change the operation once it is known: an issue that makes a key becomes a
 * generate.
 */
extern void kms_call_operation(KmsCall *call, KmsOperation operation);

/*
 * Record the key id that the caller gave, and the key that was found under it.
 * An id without the form of ids made here is recorded only if the key is
 * found, because it may be a secret that was passed by mistake.
 */
extern void kms_call_key(KmsCall *call, const char *key_id);
extern void kms_call_found(KmsCall *call, const char *key_id,
						   const char *device_id);
extern void kms_call_device(KmsCall *call, const char *device_id);
extern void kms_call_remark(KmsCall *call, const char *remark);
extern void kms_call_app_version(KmsCall *call, const char *app_version);

/* Record the form of the data that the caller sent. */
extern void kms_call_form(KmsCall *call, const char *form);

/* Return the key id that will be recorded, "" if there is none. */
extern const char *kms_call_recorded_key(const KmsCall *call);

/*
 * Claim room in the ring for the event of a call that is about to use a
 * private key.  Return true if the call had to wait for room: the caller must
 * then judge the key again.  With kms.audit = required, raise KM008 if there
 * is no room in time.
 */
extern bool kms_call_make_room(KmsCall *call);

/*
 * Do the same without waiting.  Return false if there is no room now; the
 * caller may ask again.
 */
extern bool kms_call_try_room(KmsCall *call);

/*
 * Say that nothing was done for the call yet, or that its turn has come.  A
 * deferred call is not recorded if an error ends it.
 */
extern void kms_call_defer(KmsCall *call, bool deferred);

/*
 * Say how long the call took until now: its share of the time of a group, in
 * microseconds.
 */
extern void kms_call_took(KmsCall *call, int64 shared_us);

/*
 * Classify the call as one that opens something, or return whether it is.  It
 * stays so, however it ends.
 */
extern void kms_call_opens(KmsCall *call);
extern bool kms_call_has_opened(const KmsCall *call);

/* How a successful call is recorded. */
typedef enum KmsCallEnd
{
	KMS_CALL_SERVED,			/* through the ring, even if the transaction
								 * is rolled back; the default */
	KMS_CALL_CHANGED,			/* in the outbox, with the transaction of the
								 * change */
	KMS_CALL_UNCHANGED,			/* through the ring, as a call that changed
								 * nothing */
	KMS_CALL_RECORDED			/* kms_call_record has recorded it */
} KmsCallEnd;

/* Set how the call is recorded if it succeeds. */
extern void kms_call_ends_as(KmsCall *call, KmsCallEnd end);

/*
 * Record now that the call succeeds with a change.  For a change in a
 * subtransaction that may still be undone: the caller then resets how the call
 * ends, and its operation.
 */
extern void kms_call_record(KmsCall *call);

/*
 * End a call.  Only api/ does so, see api/finish.h.  A failure is recorded
 * through the ring, a success as set by kms_call_ends_as.  With kms.audit =
 * required, a call that hands out a result then waits until its event is
 * durable.  The wait may raise KM008, or the error of a cancel.  In that case
 * the caller must wipe the secret that it holds.
 */
extern void kms_call_end(KmsCall *call, KmsStatus status);

/*
 * End one call of a batch, and wait for nothing but room in the ring.  Before
 * any result is returned, wait for the events of all calls with
 * kms_call_settle.
 */
extern void kms_call_submit(KmsCall *call, KmsStatus status);
extern void kms_call_settle(void);

/*
 * End a call without an event of its own, because its caller adds it to those
 * of other calls.  Fill *event and *class with what would have been recorded,
 * and set *claimed if the caller has taken over the claim of room.
 */
extern void kms_call_hand_over(KmsCall *call, KmsStatus status,
							   KmsEvent *event, KmsEventClass *class,
							   bool *claimed);

/* End a call that another call records; nothing is recorded. */
extern void kms_call_drop(KmsCall *call);

/* Record a change of a key's state that another call or maintenance makes. */
extern void kms_call_record_change(KmsOperation operation, const char *key_id,
								   const char *device_id, const char *reason);

/*
 * Fill an event that belongs to no call: the client, the roles and "remark".
 */
extern void kms_call_describe(KmsOperation operation, const char *remark,
							  KmsEvent *event);

/*
 * Ask for a worker (a KmsWorkerKind) when this transaction commits, because
 * the worker does not see its changes before.
 */
extern void kms_call_wish(int worker);

/*
 * Note that this transaction creates the extension, and ask for maintenance at
 * its commit.  kms_call_is_installing returns whether it does; no other
 * process sees the extension then.
 */
extern void kms_call_installed(void);
extern bool kms_call_is_installing(void);

#endif							/* KMS_KEYS_CALL_H */
