#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/check_upkeep.h"

#include "keys/name_list.h"
#include "store/health.h"
#include "store/prepared.h"
#include "store/purge_state.h"
#include "store/reference.h"

/* A transaction that was prepared longer ago may be forgotten. */
#define LEFT_BEHIND_S	60

void
kms_check_upkeep_prepared(KmsReport report, void *result)
{
	List	   *holders = kms_prepared_holders(GetCurrentTimestamp() -
											   LEFT_BEHIND_S * USECS_PER_SEC);

	if (holders != NIL)
		report(result, "warning",
			   psprintf("prepared transactions have held keys of kms for more than a minute: %s",
						kms_name_list_join(holders)),
			   "Calls that issue, rotate or change keys of their devices wait for them; COMMIT PREPARED or ROLLBACK PREPARED each, in this database.");
}

void
kms_check_upkeep_purge(KmsReport report, void *result)
{
	KmsPurgeState purge;
	static const char *const deleted_from[] = {
		"key", "key_secret", "denial", "event", "event_quarantine",
		"event_checkpoint", "metric"
	};
	int64		tried = kms_health_tried_keys();
	int64		denials = kms_health_denials();
	char	   *tables = kms_reference_tables();
	char	   *roles = kms_health_referrers();
	int			i;

	for (i = 0; i < (int) lengthof(deleted_from); i++)
	{
		char	   *acting = kms_reference_acting(deleted_from[i]);

		if (acting != NULL)
			report(result, "error",
				   psprintf("nothing is deleted from kms.%s because of foreign key %s, which acts on deletes",
							deleted_from[i], acting),
				   "Make it ON DELETE NO ACTION or RESTRICT: with another action, triggers of that table would run with the rights of the extension's owner.");
	}
	if (roles != NULL)
		report(result, "notice",
			   psprintf("roles may make foreign keys to tables of kms: %s", roles),
			   "They can keep keys from being purged: revoke REFERENCES, and make foreign keys for them.");
	if (tried > 0)
		report(result, "warning",
			   psprintf("keys that maintenance could not expire or purge: " INT64_FORMAT "; tables that refer to keys: %s",
						tried, tables != NULL ? tables : "none"),
			   "Delete the rows that refer to them; if there are none, see what else kms_check() says of these keys.");

	if (denials > 0)
		report(result, "notice",
			   psprintf("keys were disabled, revoked or scheduled for deletion whose rows do not say so yet: " INT64_FORMAT, denials),
			   "They are denied all the same; maintenance seals their rows when there is a master key and no transaction holds them.");

	kms_purge_state_read(&purge);
	if (purge.blocked_at != 0)
		report(result, "warning",
			   psprintf("the purge waits for confirmation since %s; keys due: " INT64_FORMAT,
						timestamptz_to_str(purge.blocked_at), purge.waiting),
			   "If the server's clock is right and the keys may go, run SELECT * FROM kms_maintain(confirm_purge => true).");
}
