/*
 * Recording calls.
 *
 * The state here is the session's own.  A call under way sits in a small
 * static stack, because its frame is gone when an error has unwound it and
 * the abort callbacks come to record it.  Calls nest only where a foreign
 * key's cascade runs a user's trigger; deeper than the stack, the outer ones
 * are recorded and the inner ones share the last place.
 *
 * Names of roles are looked up when a call begins, for abort callbacks can
 * read no catalog.  Whatever the callbacks do must not raise: they copy
 * structures and push them to the ring.
 *
 * Changes: the outbox row is inserted by the transaction itself, and a copy
 * of the event is kept with the id of its subtransaction until the top-level
 * transaction ends.  Commit and PREPARE forget the copies; an abort of a
 * (sub)transaction pushes its own as "Rolled back".  A crash loses the copies
 * together with the change.  COMMIT PREPARED and ROLLBACK PREPARED run no
 * callbacks and need none: the outbox row is there or not.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "crypto/key_id.h"
#include "keys/audited.h"
#include "keys/call.h"
#include "keys/service.h"
#include "pg/client.h"
#include "pg/line.h"
#include "pg/settings.h"
#include "shmem/session_ring.h"
#include "shmem/wait.h"
#include "store/outbox_table.h"

#define CALLS_MAX 4

struct KmsCall
{
	instr_time	started;
	SubTransactionId subid;
	bool		opens;			/* has come to a private operation */
	bool		admitted;		/* has asked for a slot of the ring */
	bool		claimed;		/* and has one for its event */
	KmsCallEnd	end;			/* if it succeeds */
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

/* in TopTransactionContext, newest first; those of a subtransaction that ends
 * are the first ones, for what has ended inside of it has become its own */
static PendingChange *pending = NULL;

/* the workers that this transaction wants at its commit, a bit each */
static uint32 wishes = 0;

/* it has made the extension */
static bool installed = false;

/* the last event that has to be durable before a result leaves */
static KmsPromise promised;

static void on_transaction(XactEvent event, void *arg);
static void on_subtransaction(SubXactEvent event, SubTransactionId subid,
							  SubTransactionId parent, void *arg);
static void request_workers(void);
static void identify(KmsEvent *event);
static void copy_text(char *out, size_t size, const char *in);
static void end_changed(KmsCall *call);
static void end_unchanged(KmsCall *call);
static bool must_be_durable(int operation);
static KmsEventClass classify(const KmsCall *call, KmsStatus status);
static KmsAudited submit(KmsCall *call, KmsEventClass class,
						 KmsPromise *promise);
static void release_claim(KmsCall *call);
static void forget_calls(void);
static void finish(KmsCall *call, KmsStatus status);
static void remember_change(const KmsEvent *event);
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
	if (operation != KMS_OP_ISSUE && must_be_durable(operation))
		kms_audited_require(kms_wait_outlook(), installed);
	kms_wait_for_debt();
	call = &calls[Min(depth, CALLS_MAX - 1)];
	call->opens = false;
	call->end = KMS_CALL_SERVED;
	call->admitted = call->claimed;
	memset(&call->event, 0, sizeof(call->event));
	call->event.operation = operation;
	call->event.calls = 1;
	identify(&call->event);
	call->subid = GetCurrentSubTransactionId();
	INSTR_TIME_SET_CURRENT(call->started);
	depth = Min(depth + 1, CALLS_MAX);
	return call;
}

bool
kms_call_make_room(KmsCall *call)
{
	KmsAudited	audited;
	bool		waited;

	if (call->admitted || RecoveryInProgress())
		return false;
	call->admitted = true;
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

void
kms_call_opens(KmsCall *call)
{
	call->opens = true;
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
		copy_text(call->event.key_id, sizeof(call->event.key_id), key_id);
}

void
kms_call_found(KmsCall *call, const char *key_id, const char *device_id)
{
	copy_text(call->event.key_id, sizeof(call->event.key_id), key_id);
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
	copy_text(call->event.device_id, sizeof(call->event.device_id), device_id);
}

void
kms_call_remark(KmsCall *call, const char *remark)
{
	copy_text(call->event.remark, sizeof(call->event.remark), remark);
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
	else
	{
		kms_call_submit(call, status);
		kms_call_settle();
	}
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

	/* those before in a batch are in a ring that nobody can ask any more */
	if (promised.pending &&
		promised.receipt.generation != promise.receipt.generation)
		kms_audited_require(KMS_AUDIT_CLOSED, installed);
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

static void
end_changed(KmsCall *call)
{
	KmsEvent	event;

	finish(call, KMS_OK);
	release_claim(call);
	event = call->event;
	remember_change(&event);
	kms_outbox_table_insert(&event);
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
	identify(&event);
	copy_text(event.key_id, sizeof(event.key_id), key_id);
	copy_text(event.device_id, sizeof(event.device_id), device_id);
	if (reason != NULL)
		copy_text(event.remark, sizeof(event.remark), reason);
	remember_change(&event);
	kms_outbox_table_insert(&event);
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
	identify(event);
	copy_text(event->remark, sizeof(event->remark), remark);
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
 * What hands out a result without changing anything: a change is in the
 * outbox, which commits with it, and denying must work at any time.
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

/* A cancel while it waits for room ends the claim as well. */
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
		release_claim(call);
		PG_RE_THROW();
	}
	PG_END_TRY();
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

/* Stamp the end and take the call off the stack. */
static void
finish(KmsCall *call, KmsStatus status)
{
	instr_time	elapsed;

	INSTR_TIME_SET_CURRENT(elapsed);
	INSTR_TIME_SUBTRACT(elapsed, call->started);
	call->event.duration_us = INSTR_TIME_GET_MICROSEC(elapsed);
	call->event.occurred_at = GetCurrentTimestamp();
	call->event.status = status;
	depth = call - calls;
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
			request_workers();
			forget_calls();
			break;
		case XACT_EVENT_PREPARE:
			/* nothing is called again; what is taken is as good as gone */
			wishes &= UINT32_C(1) << KMS_KEYGEN;
			request_workers();
			forget_calls();
			break;
		case XACT_EVENT_PARALLEL_COMMIT:
			forget_calls();
			break;
		default:
			return;				/* before the end */
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
		/* the newest ones: a batch has thousands before them */
		for (change = pending; change != NULL && change->subid == subid;
			 change = change->next)
			change->subid = parent;
	}
}

/* Calls that an error ended, in this subtransaction or one inside it. */
static void
abort_calls(SubTransactionId from)
{
	while (depth > 0 && calls[depth - 1].subid >= from)
	{
		KmsCall    *call = &calls[depth - 1];

		finish(call, KMS_UNFINISHED);
		kms_events_push(&call->event, classify(call, KMS_UNFINISHED));
		release_claim(call);
	}
}

/* The transaction ends and leaves none under way; this makes sure of it. */
static void
forget_calls(void)
{
	while (depth > 0)
		release_claim(&calls[--depth]);
}

/* Must be done before TopTransactionContext goes; all if subid is invalid. */
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

/* Who calls, from where. */
static void
identify(KmsEvent *event)
{
	const char *name;

	name = GetUserNameFromId(GetSessionUserId(), true);
	if (name != NULL)
		copy_text(event->session_role, sizeof(event->session_role), name);
	name = GetUserNameFromId(GetOuterUserId(), true);
	if (name != NULL)
		copy_text(event->caller_role, sizeof(event->caller_role), name);
	name = GetUserNameFromId(GetUserId(), true);
	if (name != NULL)
		copy_text(event->effective_role, sizeof(event->effective_role), name);
	copy_text(event->client_addr, sizeof(event->client_addr),
			  kms_client_address());
	if (application_name != NULL)
		copy_text(event->application_name, sizeof(event->application_name),
				  application_name);
	copy_text(event->audit_note, sizeof(event->audit_note),
			  kms_audit_context);
	kms_line_clean(event->audit_note);
}

/* Cut at a character. */
static void
copy_text(char *out, size_t size, const char *in)
{
	size_t		len = strlen(in);

	if (len >= size)
		len = pg_mbcliplen(in, len, size - 1);
	memcpy(out, in, len);
	out[len] = '\0';
}
