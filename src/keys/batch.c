/*
 * Pairs are taken in groups.  Each step is done for all pairs of a group
 * before the next one:
 *
 * 1. Begin a call, and fetch the arguments.
 * 2. Find the key, check that its use is permitted, and open it.
 * 3. Do the private operations, together as far as that is possible.
 * 4. Finish decrypting, and record the call.
 *
 * No session waits for room in the ring while its claims keep others from it:
 * if a pair would have to wait, those before it are finished first.  A table
 * may be locked while the keys are looked up.  If that took long, all keys of
 * the group are checked again, so that none that was revoked in the meantime
 * is used.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"

#include "keys/batch.h"

#include "keys/group.h"

/* A pair on its way. */
typedef struct KmsBatchCall
{
	int			number;			/* of the pair */
	KmsCall    *call;
	KmsCipherRequest request;
	KmsCipherOpened opened;
	KmsKeyPair *key;			/* a share of it, if there is one */
	KmsGroupMember member;
	KmsFault	fault;
	KmsStatus	fetched;		/* how the arguments are */
	KmsStatus	status;
} KmsBatchCall;

#define CHECKED_MS	100			/* after that, check the keys again */

static int	begin_calls(KmsBatch *batch, int *next, KmsBatchFetch fetch,
						void *arg);
static int	decrypt_calls(KmsBatch *batch, int first, int count,
						  MemoryContext caller);
static int	open_calls(KmsBatch *batch, int first, int count);
static int	open_group(KmsBatch *batch, int first, int count);
static KmsStatus open_call(KmsBatchCall *call);
static void decrypt_together(KmsBatchCall *calls, int count);
static int64 microseconds_since(instr_time start);
static void finish_call(KmsBatch *batch, KmsBatchCall *call,
						MemoryContext caller);
static void raise_fault(KmsBatch *batch, int first, int end, int count);
static bool ends_batch(KmsStatus status);

void
kms_batch_prepare(KmsBatch *batch, int count, bool is_text)
{
	batch->count = count;
	batch->rows = palloc0(Max(1, count) * sizeof(KmsBatchRow));
	batch->calls = palloc0(KMS_GROUP_MAX * sizeof(KmsBatchCall));
	kms_plaintext_prepare(&batch->room, is_text);
}

void
kms_batch_decrypt(KmsBatch *batch, KmsBatchFetch fetch, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(caller, "kms decrypt batch",
												  ALLOCSET_DEFAULT_SIZES);
	int			next = 0;

	while (next < batch->count)
	{
		int			count;
		int			done = 0;

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(scratch);
		count = begin_calls(batch, &next, fetch, arg);
		while (done < count)
			done += decrypt_calls(batch, done, count, caller);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(scratch);
	}
	kms_call_settle();
}

/* Begin the calls of a group, from pair *next on, and return how many. */
static int
begin_calls(KmsBatch *batch, int *next, KmsBatchFetch fetch, void *arg)
{
	int			size = Min(kms_group_size(), kms_call_places());
	int			count = 0;

	while (*next < batch->count && count < size)
	{
		int			i = (*next)++;
		KmsBatchCall *call;

		if (!batch->rows[i].given)
			continue;
		call = &batch->calls[count++];
		memset(call, 0, sizeof(*call));
		call->number = i;
		call->call = kms_call_begin(KMS_OP_DECRYPT);
		kms_call_defer(call->call, size > 1);
		call->fetched = fetch(arg, i, call->call, &call->request, &call->fault);
		call->status = call->fetched;
		if (call->status == KMS_OK)
			kms_plaintext_make_room(&batch->room, &call->request);
		if (ends_batch(call->status))
			break;
	}
	return count;
}

/*
 * Decrypt and record the calls from the first one on, as far as none of them
 * would have to wait.  Return how many.
 */
static int
decrypt_calls(KmsBatch *batch, int first, int count, MemoryContext caller)
{
	instr_time	start;
	int64		share;
	int			end;
	int			i;

	INSTR_TIME_SET_CURRENT(start);
	end = open_calls(batch, first, count);
	if (end - first > 1)
		decrypt_together(&batch->calls[first], end - first);
	share = microseconds_since(start) / (end - first);
	for (i = first; i < end; i++)
	{
		if (count > 1)
			kms_call_took(batch->calls[i].call, share);
		finish_call(batch, &batch->calls[i], caller);
	}
	raise_fault(batch, first, end, count);
	return end - first;
}

/* Return where the calls end whose keys were opened, or refused. */
static int
open_calls(KmsBatch *batch, int first, int count)
{
	int			end = count;
	bool		again;

	do
	{
		instr_time	start;

		INSTR_TIME_SET_CURRENT(start);
		end = open_group(batch, first, end);
		again = end - first > 1 &&
			microseconds_since(start) > CHECKED_MS * INT64CONST(1000);
		if (again)
			CHECK_FOR_INTERRUPTS();
	} while (again);
	return end;
}

static int
open_group(KmsBatch *batch, int first, int count)
{
	int			i;

	for (i = first; i < count; i++)
	{
		KmsBatchCall *call = &batch->calls[i];

		if (call->fetched == KMS_OK && i > first &&
			!kms_call_try_room(call->call))
			return i;
		kms_call_defer(call->call, false);
		if (call->fetched == KMS_OK)
			call->status = open_call(call);
		if (ends_batch(call->status))
			return i + 1;
	}
	return count;
}

/* Open the key, for the first time or again. */
static KmsStatus
open_call(KmsBatchCall *call)
{
	KmsStatus	status;

	kms_key_pair_free(call->key);
	call->key = NULL;
	status = kms_cipher_open(call->call, &call->request, false, &call->opened,
							 &call->fault);
	if (status != KMS_OK)
		return status;

	/* the cache may close it for the next key */
	call->key = kms_key_pair_share(call->opened.key);
	return kms_cipher_check(&call->request, &call->opened, &call->fault);
}

static void
decrypt_together(KmsBatchCall *calls, int count)
{
	KmsGroupMember *members[KMS_GROUP_MAX];
	int			found = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		if (calls[i].status != KMS_OK)
			continue;
		calls[i].member.request = &calls[i].request;
		calls[i].member.opened = &calls[i].opened;
		members[found++] = &calls[i].member;
	}
	kms_group_decrypt(members, found);
	for (i = 0; i < count; i++)
	{
		if (calls[i].opened.padded != NULL)
			kms_call_opens(calls[i].call);
	}
}

static int64
microseconds_since(instr_time start)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, start);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

static void
finish_call(KmsBatch *batch, KmsBatchCall *call, MemoryContext caller)
{
	KmsBatchRow *row = &batch->rows[call->number];

	if (call->status == KMS_OK)
		call->status = kms_plaintext_finish(&batch->room, call->call,
											&call->request, &call->opened,
											false, &call->fault);
	kms_group_wipe(&call->member);
	kms_key_pair_free(call->key);
	call->key = NULL;
	kms_call_submit(call->call, call->status);
	if (call->status == KMS_OK)
	{
		Size		size = VARSIZE(batch->room.result);

		row->plaintext = MemoryContextAlloc(caller, size);
		memcpy(row->plaintext, batch->room.result, size);
	}
	else if (!ends_batch(call->status))
		row->sqlstate = kms_fault_sqlstate(&call->fault);
}

/*
 * Raise the first error that ends the batch, if there is one.  Calls for which
 * nothing was done yet are not recorded.
 */
static void
raise_fault(KmsBatch *batch, int first, int end, int count)
{
	int			i;

	while (first < end && !ends_batch(batch->calls[first].status))
		first++;
	if (first == end)
		return;
	for (i = end; i < count; i++)
		kms_call_drop(batch->calls[i].call);
	kms_call_settle();
	kms_fault_raise(&batch->calls[first].fault);
}

/* Return whether the error is not of the pair. */
static bool
ends_batch(KmsStatus status)
{
	return status != KMS_OK && !kms_fault_is_tried(status) &&
		status != KMS_INVALID_ARGUMENT && status != KMS_OTHER_MASTER_KEY;
}

void
kms_batch_wipe(KmsBatch *batch)
{
	int			i;

	for (i = 0; i < batch->count; i++)
	{
		struct varlena *plaintext = batch->rows[i].plaintext;

		if (plaintext != NULL)
			explicit_bzero(plaintext, VARSIZE(plaintext));
	}
	for (i = 0; i < KMS_GROUP_MAX; i++)
	{
		kms_group_wipe(&batch->calls[i].member);
		kms_key_pair_free(batch->calls[i].key);
		batch->calls[i].key = NULL;
	}
	kms_plaintext_wipe(&batch->room);
}
