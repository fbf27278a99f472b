#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/timestamp.h"

#include "keys/check_clock.h"

#include "keys/clock.h"
#include "shmem/master.h"
#include "store/due.h"
#include "store/kept_clock.h"

#define TOLERANCE	USECS_PER_MINUTE	/* rows may be this far ahead after a
										 * failover */
#define COUNTED		1000		/* rows from the future, at most */
#define LISTED		10			/* ids named in a finding, at most */

static void check_kept(const KmsClock *clock, KmsReport report, void *arg);
static void check_keys(TimestampTz server, KmsReport report, void *arg);
static void check_events(TimestampTz server, KmsReport report, void *arg);
static char *text_of(TimestampTz at);
static const char *at_least(int64 count);

void
kms_check_clock(KmsReport report, void *arg)
{
	KmsClock	clock;

	kms_clock_read(&clock);
	check_kept(&clock, report, arg);
	check_keys(clock.server, report, arg);
	check_events(clock.server, report, arg);
}

static void
check_kept(const KmsClock *clock, KmsReport report, void *arg)
{
	if (!clock->known)
	{
		/* another check reports that there is no master key */
		if (kms_master_generation() != 0 && kms_due_key_count() > 0)
			report(arg, "warning",
				   "maintenance has no clock, because nothing that tells the time authenticates, and deletes nothing",
				   "If the server's clock is right, run SELECT * FROM kms_maintain(confirm_clock => true).");
		return;
	}
	if (clock->server - clock->kept > KMS_CLOCK_TOLERANCE)
		report(arg, "warning",
			   psprintf("the clock of maintenance is behind the server's clock: from %s to %s",
						text_of(clock->kept), text_of(clock->server)),
			   "If the server's clock is wrong, set it right: nothing was deleted by it. If it is right (the server was off, or was restored), maintenance catches up by itself, or at once with SELECT * FROM kms_maintain(confirm_clock => true).");
	else if (clock->kept - clock->server > KMS_CLOCK_TOLERANCE)
		report(arg, "warning",
			   psprintf("the server's clock is behind the clock of maintenance: from %s to %s",
						text_of(clock->server), text_of(clock->kept)),
			   "If the server's clock is wrong, set it right: keys that are made now expire too early. If it is right (it was ahead before), run SELECT * FROM kms_maintain(confirm_clock => true).");
}

static void
check_keys(TimestampTz server, KmsReport report, void *arg)
{
	List	   *ids = kms_kept_clock_future_keys(server + TOLERANCE, COUNTED);
	StringInfoData names;
	ListCell   *cell;

	if (ids == NIL)
		return;
	initStringInfo(&names);
	foreach(cell, ids)
	{
		if (foreach_current_index(cell) == LISTED)
		{
			appendStringInfoString(&names, ", ...");
			break;
		}
		appendStringInfo(&names, "%s%s",
						 foreach_current_index(cell) > 0 ? ", " : "",
						 (char *) lfirst(cell));
	}
	report(arg, "warning",
		   psprintf("keys were made in the future, %s%d: %s",
					at_least(list_length(ids)), list_length(ids), names.data),
		   "Set the server's clock right if it is behind. If it was ahead, these keys live longer than kms.key_lifetime; kms_rotate_key() replaces them. They do not count towards kms.keygen_limit.");
}

static void
check_events(TimestampTz server, KmsReport report, void *arg)
{
	TimestampTz latest;
	int64		count = kms_kept_clock_future_events(server + TOLERANCE,
													 COUNTED, &latest);

	if (count > 0)
		report(arg, "warning",
			   psprintf("events are from the future, %s" INT64_FORMAT ": the latest is of %s",
						at_least(count), count, text_of(latest)),
			   "Set the server's clock right if it is behind. If it was ahead, their times are wrong and their order (ticket) is right; they go once what is signed after them is older than kms.event_retention.");
}

static char *
text_of(TimestampTz at)
{
	return pstrdup(timestamptz_to_str(at));
}

static const char *
at_least(int64 count)
{
	return count >= COUNTED ? "at least " : "";
}
