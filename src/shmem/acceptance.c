/*
 * kms_shared->acceptance holds one request and its answer, under
 * kms_shared->lock.
 *
 * The process that asks removes its request when the wait ends, also by an
 * error.  If the process has died, the next one that asks overwrites the
 * request.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "shmem/acceptance.h"

#include "pg/compat.h"
#include "pg/wait_event.h"

#define WAIT_MS		30000
#define SLICE_MS	200

StaticAssertDecl(sizeof(KmsAcceptance) <= KMS_ACCEPTANCE_SIZE,
				 "a wish must fit into its place");

static bool ask(const KmsAcceptance *wish);
static bool take_answer(KmsAcceptanceAnswer *answer);
static void take_back(void);

bool
kms_acceptance_ask(const KmsAcceptance *wish, KmsAcceptanceAnswer *answer)
{
	KmsDatabase *database = kms_shared_database();
	TimestampTz start = GetCurrentTimestamp();
	volatile bool asked = false;
	volatile bool answered = false;

	if (database == NULL)
		return false;
	PG_TRY();
	{
		ConditionVariablePrepareToSleep(&kms_shared->acceptance.changed);
		while (!answered &&
			   TimestampDifferenceMilliseconds(start, GetCurrentTimestamp()) < WAIT_MS)
		{
			if (!asked)
				asked = ask(wish);
			if (asked)
			{
				kms_shared_request(database, KMS_WRITER);
				(void) kms_shared_wake(database, KMS_WRITER);
			}
			(void) ConditionVariableTimedSleep(&kms_shared->acceptance.changed,
											   SLICE_MS, kms_wait_event(KMS_WAIT_ACCEPTANCE));
			answered = asked && take_answer(answer);
		}
		ConditionVariableCancelSleep();
	}
	PG_CATCH();
	{
		take_back();
		PG_RE_THROW();
	}
	PG_END_TRY();
	take_back();
	return answered;
}

/* Return false if another process waits for an answer. */
static bool
ask(const KmsAcceptance *wish)
{
	KmsAcceptanceSlot *slot = &kms_shared->acceptance;
	bool		free;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	free = slot->pid == 0 || BackendPidGetProc(slot->pid) == NULL;
	if (free)
	{
		slot->pid = MyProcPid;
		slot->answered = false;
		memcpy(slot->wish, wish, sizeof(*wish));
		slot->database = MyDatabaseId;
	}
	LWLockRelease(&kms_shared->lock);
	return free;
}

static bool
take_answer(KmsAcceptanceAnswer *answer)
{
	KmsAcceptanceSlot *slot = &kms_shared->acceptance;
	bool		answered;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	answered = slot->pid == MyProcPid && slot->answered;
	if (answered)
	{
		answer->ticket = slot->ticket;
		strlcpy(answer->error, slot->error, sizeof(answer->error));
	}
	LWLockRelease(&kms_shared->lock);
	return answered;
}

static void
take_back(void)
{
	KmsAcceptanceSlot *slot = &kms_shared->acceptance;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	if (slot->pid == MyProcPid)
	{
		slot->pid = 0;
		slot->database = InvalidOid;
	}
	LWLockRelease(&kms_shared->lock);
	ConditionVariableBroadcast(&slot->changed);
}

bool
kms_acceptance_wanted(KmsAcceptance *wish)
{
	KmsAcceptanceSlot *slot = &kms_shared->acceptance;
	bool		wanted;

	if (*(volatile Oid *) &slot->database != MyDatabaseId)
		return false;
	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	wanted = slot->database == MyDatabaseId && !slot->answered;
	if (wanted)
		memcpy(wish, slot->wish, sizeof(*wish));
	LWLockRelease(&kms_shared->lock);
	return wanted;
}

void
kms_acceptance_answer(const KmsAcceptanceAnswer *answer)
{
	KmsAcceptanceSlot *slot = &kms_shared->acceptance;

	LWLockAcquire(&kms_shared->lock, LW_EXCLUSIVE);
	if (slot->database == MyDatabaseId)
	{
		slot->ticket = answer->ticket;
		strlcpy(slot->error, answer->error, sizeof(slot->error));
		slot->answered = true;
		slot->database = InvalidOid;
	}
	LWLockRelease(&kms_shared->lock);
	ConditionVariableBroadcast(&slot->changed);
}
