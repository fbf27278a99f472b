#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/check_keys.h"

#include "keys/admit.h"
#include "keys/name_list.h"
#include "keys/opened.h"
#include "shmem/master.h"
#include "store/due.h"
#include "store/health.h"

#define SAMPLE		1000		/* keys that are authenticated, at most */

void
kms_check_keys(KmsReport report, void *result)
{
	List	   *bad = NIL;
	List	   *sample = NIL;
	List	   *older;
	List	   *newer;
	const char *severity;
	ListCell   *cell;
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));

	if (kms_master_generation() != 0)
	{
		sample = kms_due_find(KMS_SWEEP_SAMPLE, GetCurrentTimestamp(),
							  SAMPLE, NULL);
		foreach(cell, sample)
		{
			KmsFault	ignored = {0};
			KmsKey		key;

			CHECK_FOR_INTERRUPTS();
			if (kms_admit_public(NULL, lfirst(cell), NULL, KMS_USE_CHECK, &key,
								 secret, &ignored) == KMS_NOT_AUTHENTIC &&
				(key.row.sealed || !kms_admit_denies(&key)))
				bad = lappend(bad, lfirst(cell));
		}
	}
	if (bad != NIL)
		report(result, "error",
			   psprintf("keys that do not authenticate, %d in a sample of %d: %s",
						list_length(bad), list_length(sample), kms_name_list_join(bad)),
			   "Their rows were changed behind the extension's back; restore them from a backup, or delete the keys with kms_destroy_key().");

	severity = kms_health_quarantined() > 0 ? "warning" : "error";
	older = kms_health_row_versions(false, sample);
	if (older != NIL)
		report(result, severity,
			   psprintf("keys are older than the trail says they should be: %s", kms_name_list_join(older)),
			   "An old row was restored, or a row of kms.denial was deleted, and a revoked or deprecated key may be in use again: see its events in kms.event and repeat the last change. The finding ends when the key is purged or destroyed. An event of it in kms.event_quarantine explains it, too.");
	newer = kms_health_row_versions(true, sample);
	if (newer != NIL)
		report(result, severity,
			   psprintf("keys have changed more often than the trail says: %s", kms_name_list_join(newer)),
			   "Somebody wrote to kms.denial or deleted events, and an old row may have been restored: see whether kms_audit_verify() finds something, and whether the key is in the state that you want. An event of it in kms.event_quarantine explains it, too.");
}

void
kms_check_keys_memory(KmsReport report, void *result)
{
	(void) kms_opened_opener();
	if (!kms_opened_heap_locked())
		report(result, "notice",
			   "private keys in memory are not locked against swapping",
			   "Raise the server's limit of locked memory (LimitMEMLOCK in systemd).");
}
