#include "postgres.h"

#include "api/finish.h"

void
kms_finish(KmsCall *call, KmsStatus status, const KmsFault *fault)
{
	(void) kms_finish_with_answer(call, status, fault, NULL);
}

bool
kms_finish_with_answer(KmsCall *call, KmsStatus status, const KmsFault *fault,
					   KmsStatusTest is_answer)
{
	kms_call_end(call, status);
	if (status == KMS_OK)
		return true;
	if (is_answer == NULL || !is_answer(status))
		kms_fault_raise(fault);
	return false;
}

bool
kms_finish_with_plaintext(KmsCall *call, KmsStatus status,
						  const KmsFault *fault, KmsStatusTest is_answer,
						  KmsPlaintext *plaintext)
{
	bool		succeeded = false;

	PG_TRY();
	{
		succeeded = kms_finish_with_answer(call, status, fault, is_answer);
	}
	PG_CATCH();
	{
		kms_plaintext_wipe(plaintext);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return succeeded;
}
