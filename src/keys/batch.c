#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "keys/batch.h"

static bool decrypt_pair(KmsBatch *batch, int i, KmsBatchFetch fetch,
						 void *arg, int *sqlstate);
static bool is_of_pair(KmsStatus status);

void
kms_batch_prepare(KmsBatch *batch, int count, bool is_text)
{
	batch->count = count;
	batch->rows = palloc0(Max(1, count) * sizeof(KmsBatchRow));
	kms_plaintext_prepare(&batch->room, is_text);
}

void
kms_batch_decrypt(KmsBatch *batch, KmsBatchFetch fetch, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext scratch = AllocSetContextCreate(caller, "kms decrypt batch",
												  ALLOCSET_DEFAULT_SIZES);
	int			i;

	for (i = 0; i < batch->count; i++)
	{
		KmsBatchRow *row = &batch->rows[i];
		bool		decrypted;

		CHECK_FOR_INTERRUPTS();
		if (!row->given)
			continue;
		MemoryContextSwitchTo(scratch);
		decrypted = decrypt_pair(batch, i, fetch, arg, &row->sqlstate);
		MemoryContextSwitchTo(caller);
		if (decrypted)
		{
			Size		size = VARSIZE(batch->room.result);

			row->plaintext = palloc(size);
			memcpy(row->plaintext, batch->room.result, size);
		}
		MemoryContextReset(scratch);
	}
	kms_call_settle();
}

/*
 * Decrypt into the room of the batch; return false, with the SQLSTATE, if the
 * pair is wrong.
 */
static bool
decrypt_pair(KmsBatch *batch, int i, KmsBatchFetch fetch, void *arg,
			 int *sqlstate)
{
	KmsCipherRequest request = {0};
	KmsFault	fault = {0};
	KmsCall    *call = kms_call_begin(KMS_OP_DECRYPT);
	KmsStatus	status;

	status = fetch(arg, i, call, &request, &fault);
	if (status == KMS_OK)
		kms_plaintext_make_room(&batch->room, &request);
	if (status == KMS_OK)
		status = kms_plaintext_decrypt(&batch->room, call, &request, false,
									   &fault);
	kms_call_submit(call, status);
	*sqlstate = 0;
	if (status == KMS_OK)
		return true;
	if (!is_of_pair(status))
	{
		kms_call_settle();
		kms_fault_raise(&fault);
	}
	*sqlstate = kms_fault_sqlstate(&fault);
	return false;
}

static bool
is_of_pair(KmsStatus status)
{
	return kms_fault_is_tried(status) || status == KMS_INVALID_ARGUMENT ||
		status == KMS_OTHER_MASTER_KEY;
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
	kms_plaintext_wipe(&batch->room);
}
