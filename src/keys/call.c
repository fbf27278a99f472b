/*
 * Recording calls.  This file is long because all of it works on the stack of
 * calls.
 *
 * Calls that have begun are in a small static stack.  An error unwinds the
 * frames of their functions before the abort callbacks record the calls.  A
 * call that ends before a later one leaves its place when that one ends.
 * Apart from the calls of a batch, calls nest only if a foreign key's cascade
 * fires a user's trigger.  If they nest deeper than the stack, the outer ones
 * are recorded and the inner ones share the last place.
 *
 * Role names are looked up when a call begins, because abort callbacks cannot
 * read catalogs.  The callbacks must not raise errors: they only copy
 * structures and push them to the ring.
 *
 * The transaction of a change inserts the outbox row itself.  A copy of the
 * event, with the id of its subtransaction, is kept until the top-level
 * transaction ends:
 *
 * - COMMIT and PREPARE discard the copies.
 * - The abort of a transaction or subtransaction pushes its copies as "Rolled
 *   back".
 * - A crash loses the copies together with the changes.
 * - COMMIT PREPARED and ROLLBACK PREPARED run no callbacks and need none,
 *   because the outbox row commits or disappears with the change.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "keys/call.h"

#include "crypto/key_id.h"
#include "keys/audited.h"
#include "keys/caller.h"
#include "keys/service.h"
#include "pg/client.h"
#include "pg/line.h"
#include "pg/settings.h"
#include "shmem/session_ring.h"
#include "shmem/wait.h"
#include "store/outbox_table.h"

#define NESTED_MAX	4
#define CALLS_MAX	(NESTED_MAX + KMS_CALLS_TOGETHER)

struct KmsCall
{
	instr_time	started;
	SubTransactionId subid;
	bool		ended;			/* but its place is not free yet */
	bool		opens;			/* a private key operation was reached */
	bool		asked_for_room; /* room in the ring was requested */
	bool		claimed;		/* room in the ring was granted */
	KmsCallEnd	end;			/* how a success is recorded */
	bool		deferred;		/* nothing was done for it yet */
	int64		shared_us;		/* of its time, before "started" */
	KmsEvent	event;
};

typedef struct PendingChange
{
	struct PendingChange *next;
	SubTransactionId subid;
	KmsEvent	event;
} PendingChange;

static KmsCall calls[CALLS_MAX];
static int	depth = 0;

/*
 * In TopTransactionContext, newest first.  Changes of an ending subtransaction
 * come first, because it has taken over the changes of those inside it.
 */
static PendingChange *pending = NULL;

/* workers to ask for at commit, a bit for each */
static uint32 wishes = 0;

/* whether this transaction creates the extension */
static bool installed = false;

/* the last event that must be durable before a result is returned */
static KmsPromise promised;

static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId subid,
							  SubTransactionId parent, void *arg);
static void request_workers(void);
static void end_changed(KmsCall *call);
static void end_unchanged(KmsCall *call);
static bool must_be_durable(int operation);
static KmsEventClass classify(const KmsCall *call, KmsStatus status);
static KmsAudited submit(KmsCall *call, KmsEventClass class,
						 KmsPromise *promise);
static void release_claim(KmsCall *call);
static void forget_calls(void);
static void finish(KmsCall *call, KmsStatus status);
static void complete(KmsCall *call, KmsStatus status);
static void record_change(KmsEvent event);
static void remember_change(const KmsEvent *event);
static void count_changes(void);
static void abort_calls(SubTransactionId from);
static void abort_changes(SubTransactionId subid);

void
kms_call_install(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

KmsCall *
kms_call_begin(KmsOperation operation)
{
	KmsCall    *call;

	kms_service_require();
	/* an issue may become a change, whose event is a row of the outbox */
	if (operation != KMS_OP_ISSUE && must_be_durable(operation))
		kms_audited_require(kms_wait_outlook(), installed);
	kms_wait_for_debt();
	/* calls that are nested deeper share the last place, and its claim */
	call = &calls[Min(depth, CALLS_MAX - 1)];
	call->ended = false;
	call->opens = false;
	call->deferred = false;
	call->shared_us = 0;
	call->end = KMS_CALL_SERVED;
	call->asked_for_room = call->claimed;
	memset(&call->event, 0, sizeof(call->event));
	call->event.operation = operation;
	call->event.calls = 1;
	kms_caller_identify(&call->event);
	call->subid = GetCurrentSubTransactionId();
	INSTR_TIME_SET_CURRENT(call->started);
	depth = Min(depth + 1, CALLS_MAX);
	return call;
}

int
kms_call_places(void)
{
	return Max(1, Min(KMS_CALLS_TOGETHER, CALLS_MAX - depth));
}

bool
kms_call_make_room(KmsCall *call)
{
	KmsAudited	audited;
	bool		waited;

	if (call->asked_for_room || RecoveryInProgress())
		return false;
	call->asked_for_room = true;
	audited = kms_wait_claim(&waited);
	call->claimed = audited == KMS_AUDITED;
	if (audited != KMS_AUDITED && must_be_durable(call->event.operation))
	{
		finish(call, KMS_NOT_AUDITED);
		kms_events_push(&call->event, KMS_CLASS_REFUSED);
		kms_audited_require(audited, installed);
	}
	return waited;
}

bool
kms_call_try_room(KmsCall *call)
{
	if (!call->asked_for_room && !RecoveryInProgress())
	{
		call->claimed = kms_events_claim();
		call->asked_for_room = call->claimed;
		return call->claimed;
	}
	return true;
}

void
kms_call_defer(KmsCall *call, bool deferred)
{
	call->deferred = deferred;
}

void
kms_call_took(KmsCall *call, int64 shared_us)
{
	call->shared_us = shared_us;
	INSTR_TIME_SET_CURRENT(call->started);
}

void
kms_call_opens(KmsCall *call)
{
	call->opens = true;
}

bool
kms_call_has_opened(const KmsCall *call)
{
	return call->opens;
}

void
kms_call_operation(KmsCall *call, KmsOperation operation)
{
	call->event.operation = operation;
}

void
kms_call_key(KmsCall *call, const char *key_id)
{
	if (kms_key_id_made(key_id))
		kms_line_copy(call->event.key_id, sizeof(call->event.key_id), key_id);
}

void
kms_call_found(KmsCall *call, const char *key_id, const char *device_id)
{
	kms_line_copy(call->event.key_id, sizeof(call->event.key_id), key_id);
	kms_call_device(call, device_id);
}

const char *
kms_call_recorded_key(const KmsCall *call)
{
	return call->event.key_id;
}

void
kms_call_device(KmsCall *call, const char *device_id)
{
	kms_line_copy(call->event.device_id, sizeof(call->event.device_id), device_id);
}

void
kms_call_app_version(KmsCall *call, const char *app_version)
{
	kms_line_copy(call->event.app_version, sizeof(call->event.app_version),
				  app_version);
}

void
kms_call_form(KmsCall *call, const char *form)
{
	kms_line_copy(call->event.form, sizeof(call->event.form), form);
}

void
kms_call_remark(KmsCall *call, const char *remark)
{
	kms_line_copy(call->event.remark, sizeof(call->event.remark), remark);
}

void
kms_call_ends_as(KmsCall *call, KmsCallEnd end)
{
	call->end = end;
}

void
kms_call_end(KmsCall *call, KmsStatus status)
{
	if (status == KMS_OK && call->end == KMS_CALL_CHANGED)
		end_changed(call);
	else if (status == KMS_OK && call->end == KMS_CALL_UNCHANGED)
		end_unchanged(call);
	else if (status == KMS_OK && call->end == KMS_CALL_RECORDED)
	{
		finish(call, status);
		release_claim(call);
	}
	else
	{
		kms_call_submit(call, status);
		kms_call_settle();
	}
}

void
kms_call_record(KmsCall *call)
{
	complete(call, KMS_OK);
	record_change(call->event);
	call->end = KMS_CALL_RECORDED;
}

void
kms_call_submit(KmsCall *call, KmsStatus status)
{
	KmsEventClass class = classify(call, status);
	KmsPromise	promise;
	KmsAudited	audited;

	kms_session_ring_bind_again();
	finish(call, status);
	if (!must_be_durable(call->event.operation))
	{
		kms_events_push(&call->event, class);
		release_claim(call);
		return;
	}
	audited = submit(call, class, &promise);
	kms_audited_require(audited, installed);
	if (!promise.pending)
		return;

	/*
	 * The earlier events of the batch are in a ring that was replaced, so
	 * nobody can tell whether they are durable.
	 */
	if (promised.pending &&
		promised.receipt.generation != promise.receipt.generation)
		kms_audited_require(KMS_UNAUDITED_CLOSED, installed);
	promised = promise;
}

void
kms_call_settle(void)
{
	if (!promised.pending)
		return;
	promised.pending = false;
	kms_audited_require(kms_wait_durable(&promised), installed);
}

void
kms_call_hand_over(KmsCall *call, KmsStatus status, KmsEvent *event,
				   KmsEventClass *class, bool *claimed)
{
	*class = classify(call, status);
	finish(call, status);
	*event = call->event;
	*claimed = call->claimed;
	call->claimed = false;
}

void
kms_call_drop(KmsCall *call)
{
	finish(call, KMS_OK);
	release_claim(call);
}

static void
end_changed(KmsCall *call)
{
	finish(call, KMS_OK);
	release_claim(call);
	record_change(call->event);
}

static void
end_unchanged(KmsCall *call)
{
	kms_session_ring_bind_again();
	memset(call->event.remark, 0, sizeof(call->event.remark));
	finish(call, KMS_UNCHANGED);
	kms_events_push(&call->event, KMS_CLASS_SERVES);
	release_claim(call);
}

void
kms_call_record_change(KmsOperation operation, const char *key_id,
					   const char *device_id, const char *reason)
{
	KmsEvent	event;

	memset(&event, 0, sizeof(event));
	event.operation = operation;
	event.status = KMS_OK;
	event.occurred_at = GetCurrentTimestamp();
	event.duration_us = -1;
	event.calls = 1;
	kms_caller_identify(&event);
	kms_line_copy(event.key_id, sizeof(event.key_id), key_id);
	kms_line_copy(event.device_id, sizeof(event.device_id), device_id);
	if (reason != NULL)
		kms_line_copy(event.remark, sizeof(event.remark), reason);
	record_change(event);
}

void
kms_call_describe(KmsOperation operation, const char *remark,
				  KmsEvent *event)
{
	memset(event, 0, sizeof(*event));
	event->operation = operation;
	event->status = KMS_FAILED;
	event->occurred_at = GetCurrentTimestamp();
	event->duration_us = -1;
	kms_caller_identify(event);
	kms_line_copy(event->remark, sizeof(event->remark), remark);
}

void
kms_call_wish(int worker)
{
	wishes |= UINT32_C(1) << worker;
}

void
kms_call_installed(void)
{
	installed = true;
	kms_call_wish(KMS_MAINTENANCE);
}

bool
kms_call_is_installing(void)
{
	return installed;
}

/*
 * Return whether the event must be durable before the call returns.  Calls
 * that hand out a result without a change need this.  A change is in the
 * outbox, which commits with it, and denying a key must work at any time.
 */
static bool
must_be_durable(int operation)
{
	if (kms_audit != KMS_AUDIT_REQUIRED)
		return false;
	switch (operation)
	{
		case KMS_OP_ISSUE:
		case KMS_OP_ENCRYPT:
		case KMS_OP_DECRYPT:
		case KMS_OP_RECOVER:
		case KMS_OP_VERIFY:
		case KMS_OP_DIAGNOSE:
		case KMS_OP_ENCRYPT_FIELD:
		case KMS_OP_DECRYPT_FIELD:
		case KMS_OP_REFRESH_FIELD:
		case KMS_OP_BLIND_INDEX:
			return true;
		default:
			return false;
	}
}

static KmsEventClass
classify(const KmsCall *call, KmsStatus status)
{
	if (call->opens)
		return KMS_CLASS_OPENS;
	return kms_status_is_success(status) ? KMS_CLASS_SERVES
		: KMS_CLASS_REFUSED;
}

/*
 * If the wait for room is cancelled, the call has failed, and the claim must
 * be released, too.
 */
static KmsAudited
submit(KmsCall *call, KmsEventClass class, KmsPromise *promise)
{
	KmsAudited	audited;

	PG_TRY();
	{
		audited = kms_wait_submit(&call->event, class, promise);
	}
	PG_CATCH();
	{
		kms_events_count(&call->event, false);
		release_claim(call);
		PG_RE_THROW();
	}
	PG_END_TRY();
	kms_events_count(&call->event, audited == KMS_AUDITED &&
					 kms_status_is_success((KmsStatus) call->event.status));
	release_claim(call);
	return audited;
}

static void
release_claim(KmsCall *call)
{
	if (call->claimed)
		kms_events_release_claim();
	call->claimed = false;
}

/* Complete the event, and take the call off the stack. */
static void
finish(KmsCall *call, KmsStatus status)
{
	complete(call, status);
	call->ended = true;
	while (depth > 0 && calls[depth - 1].ended)
		depth--;
}

static void
complete(KmsCall *call, KmsStatus status)
{
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, call->started);
	call->event.duration_us = call->shared_us + INSTR_TIME_GET_MICROSEC(elapsed);
	call->event.occurred_at = GetCurrentTimestamp();
	call->event.status = status;
}

/* A copy, because the call may lose its place while the row is inserted. */
static void
record_change(KmsEvent event)
{
	remember_change(&event);
	kms_outbox_table_insert(&event);
}

static void
remember_change(const KmsEvent *event)
{
	PendingChange *change = MemoryContextAlloc(TopTransactionContext,
											   sizeof(PendingChange));

	change->subid = GetCurrentSubTransactionId();
	change->event = *event;
	change->next = pending;
	pending = change;
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			abort_calls(TopSubTransactionId);
			abort_changes(InvalidSubTransactionId);
			break;
		case XACT_EVENT_COMMIT:
			if (pending != NULL)
				kms_call_wish(KMS_WRITER);
			count_changes();
			request_workers();
			forget_calls();
			break;
		case XACT_EVENT_PREPARE:

			/*
			 * The end of the prepared transaction runs no callback.  It will
			 * probably commit: count its changes, and ask for key generation,
			 * because keys that it took from the pool seldom return.
			 */
			wishes &= UINT32_C(1) << KMS_KEYGEN;
			count_changes();
			request_workers();
			forget_calls();
			break;
		case XACT_EVENT_PARALLEL_COMMIT:
			forget_calls();
			break;
		default:
			return;				/* not the end of the transaction */
	}
	pending = NULL;
	wishes = 0;
	installed = false;
	promised.pending = false;
}

static void
request_workers(void)
{
	int			worker;

	for (worker = 0; wishes != 0 && worker < KMS_WORKERS; worker++)
	{
		if ((wishes & UINT32_C(1) << worker) != 0 &&
			kms_shared_database() != NULL)
			kms_shared_request(kms_shared_database(), worker);
	}
}

/* Changes that are rolled back are counted when they are pushed. */
static void
count_changes(void)
{
	const PendingChange *change;

	for (change = pending; change != NULL; change = change->next)
		kms_events_count(&change->event, true);
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId subid,
				  SubTransactionId parent, void *arg)
{
	PendingChange *change;

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		abort_calls(subid);
		abort_changes(subid);
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		/* stop early, because a batch has thousands of older ones */
		for (change = pending; change != NULL && change->subid == subid;
			 change = change->next)
			change->subid = parent;
	}
}

/*
 * Record calls that were ended by an error, in this subtransaction or in one
 * inside it, in the order in which they began.
 */
static void
abort_calls(SubTransactionId from)
{
	int			first = depth;
	int			end = depth;
	int			i;

	while (first > 0 && calls[first - 1].subid >= from)
		first--;
	depth = first;
	for (i = first; i < end; i++)
	{
		KmsCall    *call = &calls[i];

		if (call->ended)
			continue;
		complete(call, KMS_UNFINISHED);
		if (!call->deferred)
			kms_events_push(&call->event, classify(call, KMS_UNFINISHED));
		release_claim(call);
	}
}

/*
 * Empty the stack.  A transaction that commits leaves no call on it; make sure
 * of that.
 */
static void
forget_calls(void)
{
	while (depth > 0)
		release_claim(&calls[--depth]);
}

/*
 * Push the changes of a subtransaction as rolled back, or all of them if subid
 * is invalid.  Must run before TopTransactionContext is deleted.
 */
static void
abort_changes(SubTransactionId subid)
{
	while (pending != NULL &&
		   (subid == InvalidSubTransactionId || pending->subid == subid))
	{
		pending->event.status = KMS_ROLLED_BACK;
		kms_events_push(&pending->event, KMS_CLASS_SERVES);
		pending = pending->next;
	}
}
