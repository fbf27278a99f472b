#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/check_copies.h"

#include "keys/admit.h"
#include "keys/name_list.h"
#include "shmem/master.h"
#include "store/due.h"
#include "store/health.h"
#include "store/wrapped.h"

#define SAMPLE			1000	/* keys that are looked at */
#define COMPLETE_MAX	100000	/* if there are no more keys, all are looked
								 * at */

static void check_made(List *sample, KmsReport report, void *arg);
static bool is_authentic(const char *key_id);

void
kms_check_copies_keys(KmsReport report, void *arg)
{
	List	   *sample = kms_due_find(KMS_SWEEP_SAMPLE, GetCurrentTimestamp(),
									  SAMPLE, NULL);
	List	   *twice = kms_health_active_twice(sample,
												kms_due_key_count() <= COMPLETE_MAX);

	if (twice != NIL)
		report(arg, "error",
			   psprintf("devices have two active keys of the same kind: %s",
						kms_name_list_join(twice)),
			   "Rows were restored over others. Run kms_deprecate_key() for the one that the device does not use; restore dumps into an empty database.");

	/* the events of replicated keys are at the publisher */
	if (!kms_wrapped_are_replicated())
		check_made(sample, report, arg);
}

/*
 * Report keys that were not made in this database.  They decrypt what was
 * encrypted for them, because a key is bound to the master key, not to a
 * database.  Another check reports keys that do not authenticate.
 */
static void
check_made(List *sample, KmsReport report, void *arg)
{
	List	   *made = NIL;
	ListCell   *cell;

	if (kms_master_generation() == 0)
		return;
	foreach(cell, kms_health_made_elsewhere(sample))
	{
		CHECK_FOR_INTERRUPTS();
		if (is_authentic(lfirst(cell)))
			made = lappend(made, lfirst(cell));
	}
	if (made != NIL)
		report(arg, "warning",
			   psprintf("keys that no event of this trail made: %s",
						kms_name_list_join(made)),
			   "They were copied from another database, or came by a subscription that is gone, or their events were deleted or quarantined (kms.event_quarantine). Revoke those that should not be here with kms_revoke_key().");
}

static bool
is_authentic(const char *key_id)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsFault	ignored = {0};
	KmsKey		key;
	bool		authentic;

	authentic = kms_admit_public(NULL, key_id, NULL, KMS_USE_CHECK, &key,
								 secret, &ignored) == KMS_OK;
	pfree(secret);
	return authentic;
}

void
kms_check_copies_tickets(KmsReport report, void *arg)
{
	List	   *tickets = kms_health_tickets_twice();

	if (tickets != NIL)
		report(arg, "error",
			   psprintf("tickets of the trail that two epochs have: %s",
						kms_name_list_join(tickets)),
			   "The rows of another trail were restored over this one. Delete those of its epochs from kms.event, kms.event_checkpoint and kms.event_epoch, or restore the whole of a backup into an empty database.");
}
