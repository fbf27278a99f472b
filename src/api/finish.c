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

bool
kms_finish_field(KmsFieldCall *call, KmsStatus status, const KmsFault *fault,
				 KmsStatusTest is_answer, struct varlena *secret)
{
	bool		succeeded = kms_status_is_success(status);

	if (call->call == NULL && succeeded)
	{
		/* a decrypted value is only added to a sum, which raises no error */
		kms_field_call_end(call, status);
		return true;
	}
	PG_TRY();
	{
		kms_field_call_end(call, status);
		if (!succeeded && (is_answer == NULL || !is_answer(status)))
			kms_fault_raise(fault);
	}
	PG_CATCH();
	{
		if (secret != NULL)
			explicit_bzero(VARDATA(secret), VARSIZE(secret) - VARHDRSZ);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return succeeded;
}

/* The call of the field is inside the one that decrypts, so it ends first. */
void
kms_finish_sent(KmsFieldCall *call, KmsCall *decrypt, KmsStatus status,
				bool of_field, const KmsFault *fault)
{
	if (status == KMS_OK)
	{
		kms_field_call_submit(call, status);
		kms_call_end(decrypt, status);
		kms_field_call_settled(call);
		return;
	}
	if (of_field)
	{
		kms_field_call_submit(call, status);
		if (kms_call_has_opened(decrypt))
			kms_call_end(decrypt, KMS_OK);
		else
		{
			kms_call_drop(decrypt);
			kms_call_settle();
		}
		kms_field_call_settled(call);
	}
	else
	{
		kms_field_call_drop(call);
		kms_call_end(decrypt, status);
	}
	kms_fault_raise(fault);
}
