#include "postgres.h"

#include "miscadmin.h"

#include "keys/accept.h"

#include "keys/call.h"
#include "keys/verify.h"
#include "shmem/acceptance.h"
#include "shmem/master.h"

KmsStatus
kms_accept_trail(const char *reason, int64 *ticket, KmsFault *fault)
{
	KmsVerifyReport report;
	KmsAcceptance wish;
	KmsAcceptanceAnswer answer;

	PreventCommandDuringRecovery("kms_audit_accept()");
	PreventCommandIfReadOnly("kms_audit_accept()");
	PreventCommandIfParallelMode("kms_audit_accept()");
	kms_master_await();
	if (kms_master_generation() == 0)
		return kms_fault(fault, KMS_NO_MASTER_KEY);
	kms_verify_trail(NULL, &report);
	if (report.finding == NULL)
	{
		fault->sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		return kms_fault_argument(fault, "the trail is intact", NULL, NULL);
	}
	memset(&wish, 0, sizeof(wish));
	wish.after = report.signed_ticket;
	memcpy(wish.hash, report.signed_hash, sizeof(wish.hash));
	kms_call_describe(KMS_OP_GAP, reason, &wish.gap);
	if (!kms_acceptance_ask(&wish, &answer))
	{
		fault->sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		return kms_fault_argument(fault, "the event writer does not answer",
								  NULL, "See kms_check() for what is in its way.");
	}
	if (answer.ticket == 0)
	{
		fault->sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		return kms_fault_argument(fault, "the event writer cannot write the gap",
								  pstrdup(answer.error), NULL);
	}
	*ticket = answer.ticket;
	return KMS_OK;
}
