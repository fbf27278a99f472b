/*
 * Issuing.
 *
 * Returning an existing key reads the latest committed rows, takes no lock and
 * writes nothing.  Making a key takes the device's lock and reads again,
 * because another session may have made one in the meantime.  The lock is held
 * until the end of the transaction, so that the next session sees the key
 * committed or not at all.  Under an older REPEATABLE READ snapshot, any
 * change of the device's keys since then is a serialization failure, because
 * the caller's own queries would not see it.
 *
 * Rotating also locks the rows of the keys that it deprecates.  A session that
 * holds the lock of a row (because it disables a key, for example) may ask for
 * the device's lock next.  So this call does not wait for a row with the
 * device's lock that it took: it releases that lock before it waits.
 *
 * The limit counts rows made within the window, by this transaction and by
 * committed ones; the lock makes the count exact.  A row from the future was
 * made while the clock was ahead.  It does not count, because otherwise its
 * device could make no key until that time has come.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/issue.h"

#include "keys/admit.h"
#include "keys/create.h"
#include "keys/device_keys.h"
#include "keys/opened.h"
#include "keys/pool.h"
#include "keys/transition.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "store/key_table.h"

static KmsStatus hand_out(KmsCall *call, const KmsKey *valid,
						  KmsIssued *issued, KmsFault *fault);
static KmsStatus make(const KmsIssueRequest *request, const KmsDeviceKeys *keys,
					  KmsIssued *issued, KmsFault *fault);
static KmsStatus check_limit(const char *device_id, const KmsDeviceKeys *keys,
							 KmsFault *fault);
static KmsStatus deprecate(List *active, KmsFault *fault);
static KmsStatus generate(const KmsIssueRequest *request, const char *origin,
						  int bits, KmsKeyRow *row, KmsKeySecret *secret,
						  KmsFault *fault);
static KmsStatus fill_row(const KmsIssueRequest *request, const char *origin,
						  int bits, KmsKeyRow *row);
static KmsStatus describe(const KmsKeyRow *row, const KmsKeySecret *secret,
						  bool reused, KmsIssued *issued, KmsFault *fault);

KmsStatus
kms_issue(KmsCall *call, const KmsIssueRequest *request, KmsIssued *issued,
		  KmsFault *fault)
{
	KmsDeviceKeys keys;
	KmsStatus	status;

	fault->device_id = request->device_id;
	kms_device_keys_read(&keys, request->device_id, true);
	while (keys.found)
	{
		status = hand_out(call, &keys.valid, issued, fault);
		if (status != KMS_KEY_NOT_FOUND)
			return status;
		kms_device_keys_read(&keys, request->device_id, true);
	}

	PreventCommandDuringRecovery("kms_issue_key()");
	PreventCommandIfReadOnly("kms_issue_key()");
	PreventCommandIfParallelMode("kms_issue_key()");
	kms_device_keys_lock(&keys, request->device_id);
	if (keys.found)
		return hand_out(call, &keys.valid, issued, fault);

	kms_call_operation(call, KMS_OP_GENERATE);
	kms_call_ends_as(call, KMS_CALL_CHANGED);
	status = make(request, &keys, issued, fault);
	if (status == KMS_OK)
		kms_call_key(call, issued->key_id);
	return status;
}

KmsStatus
kms_issue_rotate(KmsCall *call, const KmsIssueRequest *request, KmsIssued *issued,
				 KmsFault *fault)
{
	KmsDeviceKeys keys;
	KmsStatus	status;

	PreventCommandDuringRecovery("kms_rotate_key()");
	PreventCommandIfReadOnly("kms_rotate_key()");
	PreventCommandIfParallelMode("kms_rotate_key()");
	fault->device_id = request->device_id;
	kms_device_keys_lock_all(&keys, request->device_id);

	/* (kms_rotate_key(…)).* calls the function once for each column */
	if (keys.found && keys.of_statement)
	{
		status = hand_out(call, &keys.valid, issued, fault);
		issued->reused = false;
		return status;
	}

	kms_call_ends_as(call, KMS_CALL_CHANGED);
	status = make(request, &keys, issued, fault);
	if (status == KMS_OK)
		status = deprecate(keys.active, fault);
	if (status == KMS_OK)
		kms_call_key(call, issued->key_id);
	return status;
}

void
kms_issue_rate_limit(const char *device_id, KmsRateLimit *limit)
{
	KmsDeviceKeys keys;

	kms_device_keys_read(&keys, device_id, false);
	limit->used = keys.used;
	limit->allowed = kms_keygen_limit;
	limit->next_at = keys.used >= kms_keygen_limit ? keys.next_at : 0;
}

int
kms_issue_bits(const char *algorithm)
{
	if (strcmp(algorithm, "RSA-2048") == 0)
		return 2048;
	if (strcmp(algorithm, "RSA-3072") == 0)
		return 3072;
	if (strcmp(algorithm, "RSA-4096") == 0)
		return 4096;
	return 0;
}

/*
 * Return an existing key.  The status is KMS_KEY_NOT_FOUND if it is no longer
 * the device's valid key.
 */
static KmsStatus
hand_out(KmsCall *call, const KmsKey *valid, KmsIssued *issued,
		 KmsFault *fault)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsKey		key;
	KmsStatus	status;

	kms_call_operation(call, KMS_OP_ISSUE);
	kms_call_found(call, valid->row.key_id, valid->row.device_id);
	fault->key_id = pstrdup(valid->row.key_id);
	status = kms_admit_seen(valid, KMS_USE_ISSUE, &key, secret, fault);
	if (status == KMS_OK)
		status = describe(&key.row, secret, true, issued, fault);
	pfree(secret);
	return status;
}

static KmsStatus
make(const KmsIssueRequest *request, const KmsDeviceKeys *keys, KmsIssued *issued,
	 KmsFault *fault)
{
	int			bits = request->bits != 0 ? request->bits : kms_key_bits;
	bool		replacement = kms_device_keys_need_replacement(keys);
	const char *origin = replacement ? KMS_ORIGIN_REPLACEMENT
	: KMS_ORIGIN_GENERATED;
	KmsKeySecret *secret;
	KmsKeyRow	row;
	KmsStatus	status;
	bool		taken;

	if (!replacement)
	{
		status = check_limit(request->device_id, keys, fault);
		if (status != KMS_OK)
			return status;
	}

	/* everything that may raise an error comes before there is a key */
	status = kms_create_prepare(request->device_id, request->app_version, fault);
	if (status != KMS_OK)
		return status;
	secret = palloc(sizeof(KmsKeySecret));
	status = kms_fault(fault, fill_row(request, origin, bits, &row));
	if (status == KMS_OK)
		status = kms_pool_take(bits, &row, secret, &taken, fault);
	if (status == KMS_OK)
		status = taken ? kms_create_insert_sealed(&row, secret, fault)
			: generate(request, origin, bits, &row, secret, fault);
	if (status == KMS_OK)
		status = describe(&row, secret, false, issued, fault);
	pfree(secret);
	return status;
}

/*
 * Generating takes a while, so fill the row again: its times are those of the
 * key.
 */
static KmsStatus
generate(const KmsIssueRequest *request, const char *origin, int bits,
		 KmsKeyRow *row, KmsKeySecret *secret, KmsFault *fault)
{
	KmsRsaKey  *key;
	KmsStatus	status;

	status = kms_create_generate(bits, &key);
	if (status != KMS_OK)
		return kms_fault(fault, status);
	status = fill_row(request, origin, bits, row);
	if (status != KMS_OK)
	{
		kms_rsa_key_free(key);
		return kms_fault(fault, status);
	}
	return kms_create_key(row, key, secret, fault);
}

static KmsStatus
check_limit(const char *device_id, const KmsDeviceKeys *keys, KmsFault *fault)
{
	if (keys->used < kms_keygen_limit)
		return kms_fault(fault, KMS_OK);
	fault->retry_at = keys->next_at;
	return kms_fault(fault, KMS_RATE_LIMITED);
}

/* Fill a new row, except for its seal. */
static KmsStatus
fill_row(const KmsIssueRequest *request, const char *origin, int bits,
		 KmsKeyRow *row)
{
	memset(row, 0, sizeof(*row));
	row->created_at = GetCurrentTimestamp();
	row->expires_at = row->created_at + kms_key_lifetime * USECS_PER_SEC;
	row->state_changed_at = row->created_at;
	row->state = KMS_STATE_ACTIVE;
	row->row_version = 1;
	kms_rsa_key_algorithm(bits, row->algorithm);
	strlcpy(row->oaep_hash, kms_digest_name(kms_oaep_hash),
			sizeof(row->oaep_hash));
	strlcpy(row->origin, origin, sizeof(row->origin));
	strlcpy(row->device_id, request->device_id, sizeof(row->device_id));
	if (request->app_version != NULL)
	{
		row->has_app_version = true;
		strlcpy(row->app_version, request->app_version,
				sizeof(row->app_version));
	}
	return kms_create_key_id(row->created_at, row->key_id);
}

static KmsStatus
deprecate(List *active, KmsFault *fault)
{
	ListCell   *cell;

	foreach(cell, active)
	{
		KmsKey	   *key = lfirst(cell);
		KmsStatus	status;

		/* read it again, now that it is locked */
		if (!kms_key_table_read(key->row.key_id, key) ||
			kms_key_state(key) != KMS_STATE_ACTIVE)
			continue;
		status = kms_transition_deprecate(key, "Rotated", fault);

		/*
		 * A key that cannot be authenticated, or whose master key is gone,
		 * must not keep the device from getting a new key.  So if it has
		 * expired, leave it as it is.
		 */
		if (status != KMS_OK && key->row.expires_at > GetCurrentTimestamp())
		{
			fault->key_id = key->row.key_id;
			return status;
		}
	}
	return kms_fault(fault, KMS_OK);
}

static KmsStatus
describe(const KmsKeyRow *row, const KmsKeySecret *secret, bool reused,
		 KmsIssued *issued, KmsFault *fault)
{
	strlcpy(issued->key_id, row->key_id, sizeof(issued->key_id));
	strlcpy(issued->algorithm, row->algorithm, sizeof(issued->algorithm));
	strlcpy(issued->oaep_hash, row->oaep_hash, sizeof(issued->oaep_hash));
	issued->expires_at = row->expires_at;
	issued->reused = reused;
	return kms_fault(fault, kms_rsa_key_public_pem(secret->public_key,
												   secret->public_len,
												   issued->public_pem,
												   sizeof(issued->public_pem)));
}
