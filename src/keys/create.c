#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "keys/create.h"

#include "crypto/ec_generate.h"
#include "crypto/rsa_generate.h"
#include "keys/key_seal.h"
#include "keys/month_key.h"
#include "keys/opened.h"
#include "keys/rewrap.h"
#include "keys/wrapping.h"
#include "pg/compat.h"
#include "shmem/generation.h"
#include "store/key_table.h"

#define UNIX_EPOCH_MS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

static KmsStatus generate_ec(KmsKeyType type, KmsKeyPair **key);
static TimestampTz half_of(int timeout, TimestampTz start);
static KmsStatus generate_rsa(int bits, TimestampTz until, KmsKeyPair **key);
static KmsStatus search(int bits, TimestampTz until, KmsKeyPair **key);
static bool should_stop(void *arg);

KmsStatus
kms_create_prepare(const char *device_id, const char *app_version,
				   KmsFault *fault)
{
	KmsMasterKey master;
	KmsStatus	status;

	(void) kms_key_seal_utf8(device_id);
	if (app_version != NULL)
		(void) kms_key_seal_utf8(app_version);
	kms_master_await();
	status = kms_month_key_for_new(&master);
	explicit_bzero(&master, sizeof(master));
	return kms_fault(fault, status);
}

KmsStatus
kms_create_key_id(TimestampTz now, char *key_id)
{
	return kms_key_id_make(now / 1000 + UNIX_EPOCH_MS, key_id);
}

KmsStatus
kms_create_generate(KmsKeyAlgorithm algorithm, KmsKeyPair **key)
{
	(void) kms_opened_opener(); /* this process now holds secrets */
	if (kms_key_algorithm_type(algorithm) != KMS_TYPE_RSA)
		return generate_ec(kms_key_algorithm_type(algorithm), key);
	kms_generation_enter();
	return generate_rsa(kms_key_algorithm_bits(algorithm), DT_NOEND, key);
}

KmsStatus
kms_create_try_generate(KmsKeyAlgorithm algorithm, KmsKeyPair **key)
{
	TimestampTz until = Min(half_of(StatementTimeout,
									GetCurrentStatementStartTimestamp()),
							half_of(kms_transaction_timeout(),
									GetCurrentTransactionStartTimestamp()));

	(void) kms_opened_opener(); /* this process now holds secrets */
	if (kms_key_algorithm_type(algorithm) != KMS_TYPE_RSA)
		return generate_ec(kms_key_algorithm_type(algorithm), key);
	if (GetCurrentTimestamp() >= until || !kms_generation_try_enter())
		return KMS_INTERRUPTED;
	return generate_rsa(kms_key_algorithm_bits(algorithm), until, key);
}

/* Return when half of a timeout has passed. */
static TimestampTz
half_of(int timeout, TimestampTz start)
{
	return timeout > 0 ? TimestampTzPlusMilliseconds(start, timeout / 2) :
		DT_NOEND;
}

/* For a session whose turn it is.  The turn ends here. */
static KmsStatus
generate_rsa(int bits, TimestampTz until, KmsKeyPair **key)
{
	KmsStatus	status;

	PG_TRY();
	{
		status = search(bits, until, key);
	}
	PG_CATCH();
	{
		kms_generation_leave();
		PG_RE_THROW();
	}
	PG_END_TRY();
	kms_generation_leave();
	return status;
}

static KmsStatus
search(int bits, TimestampTz until, KmsKeyPair **key)
{
	KmsStatus	status;

	for (;;)
	{
		status = kms_rsa_generate(bits, should_stop, &until, key);
		if (status != KMS_INTERRUPTED)
			return status;
		CHECK_FOR_INTERRUPTS();
		if (GetCurrentTimestamp() >= until)
			return status;
	}
}

/* If the secure heap is full, older keys make room. */
static KmsStatus
generate_ec(KmsKeyType type, KmsKeyPair **key)
{
	KmsStatus	status;

	do
	{
		status = kms_ec_generate(type, key);
	} while (status == KMS_NO_MEMORY && kms_opened_make_room());
	return status;
}

static bool
should_stop(void *arg)
{
	const TimestampTz *until = arg;

	return QueryCancelPending || ProcDiePending ||
		(*until != DT_NOEND && GetCurrentTimestamp() >= *until);
}

KmsStatus
kms_create_key(KmsKeyRow *row, KmsKeyPair *key, KmsKeySecret *secret,
			   KmsFault *fault)
{
	KmsStatus	status;

	status = kms_wrapping_wrap(row, key, secret, fault);
	kms_key_pair_free(key);
	if (status == KMS_OK)
		status = kms_create_insert_sealed(row, secret, fault);
	return kms_fault(fault, status);
}

KmsStatus
kms_create_insert_sealed(KmsKeyRow *row, const KmsKeySecret *secret,
						 KmsFault *fault)
{
	KmsSecretDigests digests;
	KmsStatus	status;

	status = kms_key_seal_digests(secret, &digests);
	if (status == KMS_OK)
		status = kms_key_seal_row(row, &digests, fault);
	if (status != KMS_OK)
		return kms_fault(fault, status);
	if (!kms_key_table_insert(row, secret))
		return kms_create_fault_exists(row, fault);

	/*
	 * The master keys may have changed since the secret was wrapped.  A
	 * rewrap after that change either finds this row, or it ran before and
	 * the row is moved here.
	 */
	status = kms_rewrap_own(row, secret, fault);
	return kms_fault(fault, status);
}

KmsStatus
kms_create_fault_exists(const KmsKeyRow *wanted, KmsFault *fault)
{
	KmsKey		key;
	char	   *message = "encryption key already exists";
	char	   *detail = NULL;

	if (kms_key_table_read(wanted->key_id, &key))
	{
		message = psprintf("encryption key \"%s\" already exists",
						   key.row.key_id);
		if (strcmp(key.row.device_id, wanted->device_id) == 0)
			detail = psprintf("It is a key of device \"%s\".",
							  key.row.device_id);
		else
			detail = "It is a key of another device.";
	}
	fault->sqlstate = ERRCODE_UNIQUE_VIOLATION;
	return kms_fault_argument(fault, message, detail,
							  "If it was imported before, leave it out; else give another key id, or NULL to have one made.");
}
