/*
 * The kinds of calls of this transaction are in a small array of the session.
 * If there are more kinds than places, the oldest ones are forgotten: their
 * next call is an event again.
 *
 * A sum of calls that open something holds a claim of room in the ring, so
 * that its event is not dropped.  The call that opens a sum gets the claim as
 * every event does (kms_call_make_room); all others only add themselves.  A
 * session may sleep in the middle of a statement, so claims of sums take at
 * most a quarter of the ring: beyond that, calls are recorded one by one.
 *
 * A killed session loses its open sums, but not the first calls.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "keys/field_call.h"

#include "keys/service.h"
#include "pg/settings.h"
#include "shmem/events.h"

#define KINDS_MAX	64
#define OPEN_MAX	16			/* sums that are open at once */
#define SUM_MS		1000.0

typedef struct Kind
{
	uint8		operation;
	uint8		status;
	Oid			role;
	Oid			outer;
	Oid			session;
	char		label[KMS_FIELD_LABEL_SIZE];
	char		note[KMS_AUDIT_CONTEXT_MAX + 1];
} Kind;

typedef struct Sum
{
	Kind		kind;
	bool		durable;		/* whether the event of the first call is */
	KmsEvent	event;			/* of the call that opened the sum */
	KmsEventClass class;
	int64		calls;			/* 0: the sum is not open */
	instr_time	duration;
	instr_time	since;
	bool		claimed;
} Sum;

static Sum *sums = NULL;		/* KINDS_MAX of them */
static int	count = 0;			/* in use */
static int	next = 0;			/* place for the next kind if all are used */
static int	open_count = 0;
static int	last[KMS_OPERATION_COUNT];	/* sum that was used last */

static MemoryContextCallback statement_end;
static bool statement_end_registered = false;

static void record_unexpected(KmsFieldCall *call);
static void on_transaction(XactEvent event, void *arg);
static void on_statement_end(void *arg);
static int	find(const KmsFieldCall *call, KmsStatus status,
				 const char *label);
static bool is_of(const Sum *sum, const KmsFieldCall *call, KmsStatus status,
				  const char *label);
static void add(KmsFieldCall *call, int i, KmsStatus status);
static bool open_sum(Sum *sum, KmsFieldCall *call, KmsStatus status);
static void remember(const KmsFieldCall *call);
static void close_sum(Sum *sum);
static void close_all(void);

void
kms_field_call_install(void)
{
	RegisterXactCallback(on_transaction, NULL);
}

void
kms_field_call_begin(KmsFieldCall *call, KmsOperation operation,
					 KmsFieldRight right)
{
	INSTR_TIME_SET_CURRENT(call->caller.now);
	call->operation = operation;
	call->caller.right = right;
	call->caller.role = GetUserId();
	call->outer = GetOuterUserId();
	call->session = GetSessionUserId();
	call->sum = -1;
	call->first = false;
	call->call = NULL;
	call->label[0] = '\0';
	kms_field_opened_close_stale();
	kms_service_require();
}

bool
kms_field_call_is_summed(KmsFieldCall *call, const KmsFieldKey *key)
{
	int			i = find(call, KMS_OK, key->label);

	if ((i < 0 || sums[i].calls == 0) &&
		call->operation == KMS_OP_REFRESH_FIELD)
		i = find(call, KMS_UNCHANGED, key->label);
	if (i < 0 || sums[i].calls == 0)
		return false;
	call->sum = i;
	return true;
}

void
kms_field_call_record(KmsFieldCall *call)
{
	call->call = kms_call_begin(call->operation);
}

bool
kms_field_call_make_room(KmsFieldCall *call)
{
	if (call->operation != KMS_OP_DECRYPT_FIELD || call->call == NULL)
		return false;
	kms_call_found(call->call, call->label, "");
	return kms_call_make_room(call->call);
}

void
kms_field_call_end(KmsFieldCall *call, KmsStatus status)
{
	kms_field_call_submit(call, status);
	kms_call_settle();
	kms_field_call_settled(call);
}

void
kms_field_call_submit(KmsFieldCall *call, KmsStatus status)
{
	int			i = call->sum;

	if (call->call == NULL && !(i >= 0 && sums[i].kind.status == status))
	{
		/* if it was to be added to another sum, it has used that one's key */
		if (i >= 0)
			strlcpy(call->label, sums[i].kind.label, sizeof(call->label));
		i = find(call, status, call->label);
		if (i < 0 || sums[i].calls == 0)
			record_unexpected(call);
	}
	if (call->call != NULL)
	{
		kms_call_found(call->call, call->label, "");
		i = find(call, status, call->label);
	}
	if (i >= 0)
		add(call, i, status);
	else
	{
		kms_call_submit(call->call, status);
		call->first = true;
		call->outcome = status;
	}
}

void
kms_field_call_settled(const KmsFieldCall *call)
{
	if (call->first)
		remember(call);
}

/*
 * Begin an event for a call that was not expected to need one.  With a key, it
 * has opened a value.
 */
static void
record_unexpected(KmsFieldCall *call)
{
	kms_field_call_record(call);
	if (call->sum < 0)
		return;
	if (call->operation == KMS_OP_DECRYPT_FIELD)
		kms_call_opens(call->call);
	(void) kms_field_call_make_room(call);
}

void
kms_field_call_drop(KmsFieldCall *call)
{
	if (call->call != NULL)
		kms_call_drop(call->call);
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PREPARE:
			close_all();
			count = 0;
			next = 0;
			break;
		default:
			break;
	}
}

static void
on_statement_end(void *arg)
{
	statement_end_registered = false;
	close_all();
}

/*
 * Return the number of the sum of a kind, or -1.  With kms.audit = required, a
 * kind whose first event was not waited for, before a reload, does not count.
 */
static int
find(const KmsFieldCall *call, KmsStatus status, const char *label)
{
	int			i = last[call->operation];

	if (i < count && is_of(&sums[i], call, status, label))
		return i;
	for (i = 0; i < count; i++)
	{
		if (is_of(&sums[i], call, status, label))
		{
			last[call->operation] = i;
			return i;
		}
	}
	return -1;
}

static bool
is_of(const Sum *sum, const KmsFieldCall *call, KmsStatus status,
	  const char *label)
{
	const Kind *kind = &sum->kind;

	return (sum->durable || kms_audit != KMS_AUDIT_REQUIRED) &&
		kind->operation == call->operation && kind->status == status &&
		kind->role == call->caller.role && kind->outer == call->outer &&
		kind->session == call->session && strcmp(kind->label, label) == 0 &&
		strcmp(kind->note, kms_audit_context) == 0;
}

static void
add(KmsFieldCall *call, int i, KmsStatus status)
{
	Sum		   *sum = &sums[i];
	instr_time	now;

	if (call->call != NULL && !open_sum(sum, call, status))
		return;
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_ACCUM_DIFF(sum->duration, now, call->caller.now);
	sum->calls++;
	INSTR_TIME_SUBTRACT(now, sum->since);
	if (sum->calls >= KMS_FIELD_CALLS_MAX ||
		INSTR_TIME_GET_MILLISEC(now) >= SUM_MS)
		close_sum(sum);
}

/*
 * Take over the event of a call.  If the sum is open, only its claim is new.
 * Return false if the event is recorded now, because no sum may keep a claim.
 */
static bool
open_sum(Sum *sum, KmsFieldCall *call, KmsStatus status)
{
	KmsEvent	event;
	KmsEventClass class;
	bool		claimed;

	kms_call_hand_over(call->call, status, &event, &class, &claimed);
	if (sum->calls > 0)
	{
		if (claimed)
			kms_events_release_claim();
		return true;
	}
	if (claimed && kms_events_claims_crowd())
	{
		kms_events_push(&event, class);
		kms_events_release_claim();
		return false;
	}
	if (open_count >= OPEN_MAX)
		close_all();
	sum->event = event;
	sum->class = class;
	sum->claimed = claimed;
	INSTR_TIME_SET_ZERO(sum->duration);
	sum->since = call->caller.now;
	open_count++;
	if (!statement_end_registered && MessageContext != NULL)
	{
		statement_end.func = on_statement_end;
		MemoryContextRegisterResetCallback(MessageContext, &statement_end);
		statement_end_registered = true;
	}
	return true;
}

static void
remember(const KmsFieldCall *call)
{
	Sum		   *sum;

	if (sums == NULL)
		sums = MemoryContextAllocZero(TopMemoryContext,
									  KINDS_MAX * sizeof(Sum));
	if (count < KINDS_MAX)
		sum = &sums[count++];
	else
	{
		sum = &sums[next];
		next = (next + 1) % KINDS_MAX;
		close_sum(sum);
	}
	sum->calls = 0;
	sum->durable = kms_audit == KMS_AUDIT_REQUIRED;
	sum->kind.operation = call->operation;
	sum->kind.status = call->outcome;
	sum->kind.role = call->caller.role;
	sum->kind.outer = call->outer;
	sum->kind.session = call->session;
	strlcpy(sum->kind.label, call->label, sizeof(sum->kind.label));
	strlcpy(sum->kind.note, kms_audit_context, sizeof(sum->kind.note));
	last[call->operation] = (int) (sum - sums);
}

/* Raises no error, because callbacks use it. */
static void
close_sum(Sum *sum)
{
	if (sum->calls == 0)
		return;
	sum->event.calls = sum->calls;
	sum->event.duration_us = INSTR_TIME_GET_MICROSEC(sum->duration);
	sum->event.occurred_at = GetCurrentTimestamp();
	kms_events_push(&sum->event, sum->class);
	if (sum->claimed)
		kms_events_release_claim();
	sum->claimed = false;
	sum->calls = 0;
	open_count--;
}

static void
close_all(void)
{
	int			i;

	for (i = 0; i < count && open_count > 0; i++)
		close_sum(&sums[i]);
}
