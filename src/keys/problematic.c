#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/problematic.h"

#include "pg/fault.h"

List *
kms_problematic_find(double threshold_percent, int min_operations, int hours)
{
	KmsProblemWindow window;

	window.now = GetCurrentTimestamp();
	window.since = window.now - hours * USECS_PER_HOUR;
	window.upto = window.now;
	if (kms_problem_is_unknown(&window))
		ereport(WARNING,
				(errmsg("failure rates are too high, because successful decrypts are not in the trail"),
				 errhint("Set kms.event_detail = all, and wait for as long as timeframe_hours."),
				 KMS_HIDE_STATEMENT));
	return kms_problem_find(threshold_percent, min_operations, &window, false,
							PG_INT32_MAX);
}
