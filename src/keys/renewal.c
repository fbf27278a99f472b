#include "postgres.h"

#include "keys/renewal.h"

#include "crypto/sha256.h"
#include "pg/settings.h"

static TimestampTz renewal_of(const KmsKeyRow *row);
static int64 spread(const char *key_id, int64 most);

TimestampTz
kms_renewal_at(const char *key_id, TimestampTz created_at,
			   TimestampTz expires_at)
{
	int64		third = (expires_at - created_at) / 3;
	int64		ahead = Min(kms_key_renewal * USECS_PER_SEC, third);

	if (ahead <= 0)
		return expires_at;
	return expires_at - ahead - spread(key_id, ahead / 10);
}

/*
 * Return 0 to "most", the same for each call.  So the devices of a fleet that
 * got their keys within an hour do not all come back within an hour.
 */
static int64
spread(const char *key_id, int64 most)
{
	unsigned char digest[KMS_SHA256_SIZE];
	uint64		number = 0;
	int			i;

	if (!kms_sha256(key_id, strlen(key_id), digest))
		return 0;
	for (i = 0; i < 8; i++)
		number = number << 8 | digest[i];
	return (int64) (number % ((uint64) most + 1));
}

static TimestampTz
renewal_of(const KmsKeyRow *row)
{
	return kms_renewal_at(row->key_id, row->created_at, row->expires_at);
}

bool
kms_renewal_is_due(const KmsKeyRow *row, TimestampTz now)
{
	return now >= renewal_of(row);
}

bool
kms_renewal_is_urgent(const KmsKeyRow *row, TimestampTz now)
{
	TimestampTz at = renewal_of(row);

	return now >= at + (row->expires_at - at) / 2;
}

bool
kms_renewal_was_done(const KmsKeyRow *row)
{
	return row->state == KMS_STATE_DEPRECATED && row->has_state_reason &&
		strcmp(row->state_reason, KMS_RENEWAL_REASON) == 0;
}
