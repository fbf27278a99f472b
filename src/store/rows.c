#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "store/rows.h"

#include "store/link.h"

void
kms_rows_open(KmsRows *rows, const char *table)
{
	kms_owner_enter(&rows->owner);
	rows->rel = table_open(kms_link_relation(table), RowExclusiveLock);

	PushActiveSnapshot(GetTransactionSnapshot());
	rows->estate = CreateExecutorState();
	rows->estate->es_output_cid = GetCurrentCommandId(true);
	rows->result = makeNode(ResultRelInfo);
	InitResultRelInfo(rows->result, rows->rel, 0, NULL, 0);
	rows->result->ri_TrigDesc = NULL;	/* the trail is written without
										 * triggers */
	AfterTriggerBeginQuery();
	ExecOpenIndices(rows->result, false);
	rows->slot = table_slot_create(rows->rel, NULL);
	rows->old = table_slot_create(rows->rel, NULL);
}

void
kms_rows_clear(KmsRows *rows)
{
	ExecClearTuple(rows->slot);
	memset(rows->slot->tts_isnull, true,
		   rows->slot->tts_tupleDescriptor->natts);
}

void
kms_rows_insert(KmsRows *rows)
{
	ExecStoreVirtualTuple(rows->slot);
	ExecSimpleRelationInsert(rows->result, rows->estate, rows->slot);
	ResetPerTupleExprContext(rows->estate);
}

bool
kms_rows_lock(KmsRows *rows, ItemPointer tid)
{
	TM_FailureData failure;
	int			natts = rows->slot->tts_tupleDescriptor->natts;

	if (table_tuple_lock(rows->rel, tid, GetActiveSnapshot(), rows->old,
						 rows->estate->es_output_cid, LockTupleNoKeyExclusive,
						 LockWaitBlock, 0, &failure) != TM_Ok)
		return false;
	slot_getallattrs(rows->old);
	ExecClearTuple(rows->slot);
	memcpy(rows->slot->tts_values, rows->old->tts_values,
		   natts * sizeof(Datum));
	memcpy(rows->slot->tts_isnull, rows->old->tts_isnull,
		   natts * sizeof(bool));
	return true;
}

void
kms_rows_update(KmsRows *rows)
{
	EPQState	none = {0};		/* only triggers need its contents */

	ExecStoreVirtualTuple(rows->slot);
	ExecSimpleRelationUpdate(rows->result, rows->estate, &none, rows->old,
							 rows->slot);
	ResetPerTupleExprContext(rows->estate);
}

void
kms_rows_close(KmsRows *rows)
{
	AfterTriggerEndQuery(rows->estate);
	ExecDropSingleTupleTableSlot(rows->old);
	ExecDropSingleTupleTableSlot(rows->slot);
	ExecCloseIndices(rows->result);
	ExecResetTupleTable(rows->estate->es_tupleTable, false);
	FreeExecutorState(rows->estate);
	PopActiveSnapshot();
	table_close(rows->rel, NoLock);
	CommandCounterIncrement();
	kms_owner_leave(&rows->owner);
}
