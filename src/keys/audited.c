#include "postgres.h"

#include "keys/audited.h"

#include "pg/fault.h"
#include "pg/settings.h"
#include "shmem/shared.h"

void
kms_audited_require(KmsAudited audited, bool installing)
{
	KmsFault	fault = {0};

	if (audited == KMS_AUDITED && !installing)
		return;
	pg_atomic_fetch_add_u64(&kms_shared->refused, 1);
	kms_shared_count(KMS_COUNT_REFUSED, 1);
	kms_fault(&fault, KMS_NOT_AUDITED);
	if (installing)
	{
		fault.detail = "This transaction has created the extension, so nobody else sees it yet.";
		fault.hint = "Commit, then call again.";
		kms_fault_raise(&fault);
	}
	switch (audited)
	{
		case KMS_UNAUDITED_STANDBY:
			fault.detail = "A standby records nothing.";
			fault.hint = "Call the primary, or set kms.audit = best_effort on the standby.";
			break;
		case KMS_UNAUDITED_NO_LAUNCHER:
			fault.detail = "The launcher of kms does not run.";
			fault.hint = "Raise max_worker_processes and restart the server; its log says why the launcher was not started.";
			break;
		case KMS_UNAUDITED_NO_WRITER:
			fault.detail = "The event writer cannot work.";
			fault.hint = "kms_check() and kms.status show its last error.";
			break;
		case KMS_UNAUDITED_NO_RING:
			fault.detail = "The event ring of this database cannot be made.";
			fault.hint = "The server log says why; there must be room for kms.event_ring_size in pg_stat_tmp.";
			break;
		case KMS_UNAUDITED_ALONE:
			fault.detail = "There is no synchronous standby: synchronous_standby_names is empty, and kms.audit_wait_for_standby is on.";
			fault.hint = "Name one, or turn kms.audit_wait_for_standby off.";
			break;
		case KMS_UNAUDITED_CLOSED:
			fault.detail = "The extension is being dropped or changed.";
			break;
		default:
			fault.detail = psprintf("Its event was not recorded within %d ms (kms.audit_timeout).",
									kms_audit_timeout);
			fault.hint = kms_audit_wait_for_standby ?
				"See kms_check(), and whether a synchronous standby is connected (kms.audit_wait_for_standby)." :
				"See kms_check(), and whether a transaction, this one perhaps, has locked kms.event.";
			break;
	}
	kms_fault_raise(&fault);
}
