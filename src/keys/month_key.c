#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/month_key.h"

#include "pg/month.h"

#define WARN_AHEAD (14 * USECS_PER_DAY)

static bool is_labelled(const KmsMasterStatus *status, TimestampTz at,
						char month[KMS_MONTH_SIZE]);

KmsStatus
kms_month_key_for_new(KmsMasterKey *key)
{
	char		month[KMS_MONTH_SIZE];

	kms_month_of(GetCurrentTimestamp(), month);
	return kms_master_get_of_month(month, key);
}

KmsStatus
kms_month_key_for_old(TimestampTz created_at, KmsMasterKey *key)
{
	char		now[KMS_MONTH_SIZE];
	char		month[KMS_MONTH_SIZE];

	kms_month_of(GetCurrentTimestamp(), now);
	kms_month_of(created_at, month);
	if (strcmp(month, now) == 0 && kms_master_get_of_month(month, key) == KMS_OK)
		return KMS_OK;
	return kms_master_get_now(NULL, key);
}

bool
kms_month_key_stays(const KmsMasterStatus *status, int i)
{
	return i == 0 || (status->epochs && kms_month_is(status->label[i]));
}

bool
kms_month_key_is_over(const KmsMasterStatus *status, int i)
{
	char		month[KMS_MONTH_SIZE];

	kms_month_of(GetCurrentTimestamp(), month);
	return i > 0 && status->epochs &&
		kms_month_is(status->label[i]) && strcmp(status->label[i], month) < 0;
}

char *
kms_month_key_missing(bool *now)
{
	KmsMasterStatus *status;
	TimestampTz at = GetCurrentTimestamp();
	char		month[KMS_MONTH_SIZE];
	char	   *missing = NULL;

	*now = false;
	status = palloc(sizeof(KmsMasterStatus));
	kms_master_status(status);
	if (!status->epochs || status->state != KMS_MASTER_READY)
		missing = NULL;
	else if (!is_labelled(status, at, month))
	{
		*now = true;
		missing = psprintf("no master key is labelled \"%s\", this month: no key can be made",
						   month);
	}
	else if (!is_labelled(status, at + WARN_AHEAD, month))
		missing = psprintf("no master key is labelled \"%s\", the month that begins at %s: no key can be made then",
						   month, timestamptz_to_str(kms_month_end(at)));
	pfree(status);
	return missing;
}

static bool
is_labelled(const KmsMasterStatus *status, TimestampTz at,
			char month[KMS_MONTH_SIZE])
{
	int			i;

	kms_month_of(at, month);
	for (i = 0; i < status->count; i++)
	{
		if (strcmp(status->label[i], month) == 0)
			return true;
	}
	return false;
}
