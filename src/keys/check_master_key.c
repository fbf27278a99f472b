#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/check_master_key.h"

#include "keys/month_key.h"
#include "keys/rewrap.h"
#include "pg/fault.h"
#include "shmem/master.h"
#include "shmem/master_file.h"
#include "store/wrapped.h"

void
kms_check_master_key(KmsReport report, void *result)
{
	KmsMasterStatus *status = palloc(sizeof(KmsMasterStatus));
	char	   *warning = kms_master_file_warning();
	const char *source;

	kms_master_status(status);
	source = kms_master_source_name(status->source);
	if (status->state == KMS_MASTER_UNREAD && status->running_since != 0)
		report(result, "error",
			   psprintf("the master key command has been running since %s",
						timestamptz_to_str(status->running_since)),
			   "Calls wait for it, and then raise KM007; kms.master_key_command_timeout bounds it.");
	else if (status->state == KMS_MASTER_UNREAD)
		report(result, "error", "the master key has not been read yet",
			   "The launcher of kms reads it; see whether it runs.");
	else if (status->state == KMS_MASTER_UNSET)
		report(result, "error", "no master key is set",
			   "Set kms.master_key_file or kms.master_key_command in postgresql.conf and reload the server.");
	else if (status->state == KMS_MASTER_REFUSED)
		report(result, "error",
			   psprintf("the %s is refused: %s", source, status->reason),
			   "Mend it and reload the server.");
	else if (status->reason[0] != '\0')
		report(result, "error",
			   psprintf("the %s is refused, and the keys read before are in force: %s",
						source, status->reason),
			   "Mend it and reload the server, before it restarts.");
	if (warning != NULL)
		report(result, "warning", warning,
			   "Keep the file outside of the data directory and of backups.");
}

void
kms_check_master_key_memory(KmsReport report, void *result)
{
	if (kms_master_memory() == KMS_MASTER_LOCKED)
		report(result, "notice",
			   "the master keys are in locked memory, not in memfd_secret",
			   "Linux 5.14 or later has it, up to 6.4 with secretmem.enable=1 on its command line.");
	else if (kms_master_memory() == KMS_MASTER_PLAIN)
		report(result, "notice",
			   "the master keys are in memory that may be swapped out or dumped",
			   "Raise the server's limit of locked memory (LimitMEMLOCK, ulimit -l), and restart it.");
}

void
kms_check_master_key_use(KmsReport report, void *result)
{
	KmsMasterStatus *status = palloc(sizeof(KmsMasterStatus));
	bool		now;
	char	   *missing = kms_month_key_missing(&now);
	ListCell   *cell;

	kms_master_status(status);
	if (status->state != KMS_MASTER_READY)
		return;
	if (missing != NULL)
		report(result, now ? "error" : "warning", missing,
			   "Add a line with that label to the master keys and reload the server.");
	foreach(cell, kms_rewrap_uses())
	{
		KmsMasterKeyUse *use = lfirst(cell);
		char		id[2 * KMS_MASTER_KEY_ID_SIZE + 1];

		kms_master_key_id_text(use->id, id);
		if (use->place < 0)
			report(result, "error",
				   psprintf("keys wrapped under master key \"%s\", which this server does not have: " INT64_FORMAT ", rows of field keys: " INT64_FORMAT ", peppers or audit keys: %d",
							id, kms_wrapped_count(KMS_WRAPPED_KEYS, use->id),
							kms_wrapped_count(KMS_WRAPPED_FIELDS, use->id),
							use->peppers),
				   "Add that master key to what kms.master_key_file or kms.master_key_command gives, below the current one, and reload the server.");
		else if (use->used && !kms_month_key_stays(status, use->place))
			report(result, "notice",
				   psprintf("keys are still wrapped under master key \"%s\", which is not the current one",
							id),
				   "Run kms_rewrap_keys() until it returns 0, or set kms.rewrap_automatically; until then keep its line.");
	}
}
