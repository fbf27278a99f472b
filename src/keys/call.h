/*
 * One call of an operation, and the one event that it ends in.
 *
 *	call = kms_call_begin(KMS_OP_DECRYPT);
 *	kms_call_key(call, key_id);
 *	…
 *	kms_call_end(call, status);
 *
 * A call that some other error ends (a cancel, lack of memory) is recorded by
 * the abort callbacks as "Interrupted"; a successful change whose transaction
 * is undone, as "Rolled back".
 */
#ifndef KMS_KEYS_CALL_H
#define KMS_KEYS_CALL_H

#include "crypto/status.h"
#include "shmem/ring.h"
#include "shmem/shared.h"

typedef struct KmsCall KmsCall;

/* Callbacks of transactions; once, from _PG_init. */
extern void kms_call_install(void);

extern KmsCall *kms_call_begin(KmsOperation operation);

/* What it turned out to be: an issue that makes a key is a generate. */
extern void kms_call_operation(KmsCall *call, KmsOperation operation);

/*
 * The key id that the caller gave, and what was found under it.  One that has
 * not the form of ids made here is recorded only when it is found: it may be
 * a secret in the wrong place.
 */
extern void kms_call_key(KmsCall *call, const char *key_id);
extern void kms_call_found(KmsCall *call, const char *key_id,
						   const char *device_id);
extern void kms_call_device(KmsCall *call, const char *device_id);
extern void kms_call_remark(KmsCall *call, const char *remark);

/* The key id as it will be recorded, "" for none. */
extern const char *kms_call_recorded_key(const KmsCall *call);

/*
 * Make sure of room for the event of a call that is about to use a private
 * key.  True if it had to wait for that: then the key must be looked at
 * again.  With kms.audit = required raises KM008 if there is no room in time.
 */
extern bool kms_call_make_room(KmsCall *call);

/* From here on the call is one that opens something, however it ends. */
extern void kms_call_opens(KmsCall *call);

/* How a call that succeeds is recorded. */
typedef enum KmsCallEnd
{
	KMS_CALL_SERVED,			/* through the ring, whatever becomes of the
								 * transaction; what a call begins as */
	KMS_CALL_CHANGED,			/* by the transaction that made the change */
	KMS_CALL_UNCHANGED			/* as one that had nothing to do */
} KmsCallEnd;

extern void kms_call_ends_as(KmsCall *call, KmsCallEnd end);

/*
 * End a call; api/ does so, see api/finish.h.  A failure is recorded through
 * the ring, a success as kms_call_ends_as said.  With kms.audit = required
 * both wait for what hands out a result until the event is durable, or raise
 * KM008, or what a cancel raises: then the caller wipes the secret that it
 * has in hand.
 */
extern void kms_call_end(KmsCall *call, KmsStatus status);

/*
 * End one call of many, which waits for no more than a place in the ring; and
 * wait for all of them, before any result leaves.
 */
extern void kms_call_submit(KmsCall *call, KmsStatus status);
extern void kms_call_settle(void);

/* A change of a key's state within another call or by maintenance. */
extern void kms_call_record_change(KmsOperation operation, const char *key_id,
								   const char *device_id, const char *reason);

/*
 * Fill an event that is no call's with who calls, and what he says.
 */
extern void kms_call_describe(KmsOperation operation, const char *remark,
							  KmsEvent *event);

/*
 * Ask for a worker (a number of KmsWorkerKind) when this transaction is
 * committed, for it sees nothing of it before.
 */
extern void kms_call_wish(int worker);

/*
 * The extension is being made: maintenance is wished; and whether this
 * transaction has made it, so that no other process sees it.
 */
extern void kms_call_installed(void);
extern bool kms_call_is_installing(void);

#endif							/* KMS_KEYS_CALL_H */
