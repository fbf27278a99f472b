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
 * From its time of renewal on, a key is replaced by its successor when its
 * device asks.  If that does not work, the keys are read again, because it may
 * have taken a while, and the valid key is handed out.
 *
 * The limit counts rows made within the window, by this transaction and by
 * committed ones; the lock makes the count exact.  A row from the future was
 * made while the clock was ahead.  It does not count, because otherwise its
 * device could make no key until that time has come.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/issue.h"

#include "keys/admit.h"
#include "keys/device_keys.h"
#include "keys/new_key.h"
#include "keys/renewal.h"
#include "keys/successor.h"
#include "keys/transition.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "pg/subtransaction.h"
#include "store/key_lock.h"
#include "store/key_table.h"

static KmsStatus hand_out(KmsCall *call, const KmsKey *valid,
						  KmsIssued *issued, KmsFault *fault);
static KmsStatus make(const KmsIssueRequest *request, const KmsDeviceKeys *keys,
					  KmsIssued *issued, KmsFault *fault);
static KmsStatus check_limit(const char *device_id, const KmsDeviceKeys *keys,
							 KmsFault *fault);
static KmsStatus deprecate(List *active, KmsFault *fault);

KmsStatus
kms_issue(KmsCall *call, const KmsIssueRequest *request, KmsIssued *issued,
		  KmsFault *fault)
{
	KmsDeviceKeys keys;
	bool		tried = false;
	KmsStatus	status;

	fault->device_id = request->device_id;
	kms_device_keys_read(&keys, request->device_id, &request->named, true);
	while (keys.found)
	{
		if (!tried && kms_renewal_is_due(&keys.valid.row, keys.now) &&
			kms_successor_is_possible(&keys.valid.row))
		{
			tried = true;
			if (kms_successor_make(call, &keys.valid, request->app_version,
								   issued))
				return kms_fault(fault, KMS_OK);
		}
		else
		{
			status = hand_out(call, &keys.valid, issued, fault);
			if (status != KMS_KEY_NOT_FOUND)
				return status;
		}
		kms_device_keys_read(&keys, request->device_id, &request->named, true);
	}

	PreventCommandDuringRecovery("kms_issue_key()");
	PreventCommandIfReadOnly("kms_issue_key()");
	PreventCommandIfParallelMode("kms_issue_key()");
	kms_device_keys_lock(&keys, request->device_id, &request->named);
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
	kms_device_keys_lock_all(&keys, request->device_id, &request->named);

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

	kms_device_keys_read(&keys, device_id, NULL, false);
	limit->used = keys.used;
	limit->allowed = kms_keygen_limit;
	limit->next_at = keys.used >= kms_keygen_limit ? keys.next_at : 0;
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
		status = kms_new_key_describe(&key.row, secret, true, issued, fault);
	pfree(secret);
	return status;
}

static KmsStatus
make(const KmsIssueRequest *request, const KmsDeviceKeys *keys, KmsIssued *issued,
	 KmsFault *fault)
{
	bool		replacement = kms_device_keys_need_replacement(keys);
	KmsNewKey	new = {request->device_id, request->app_version,
		replacement ? KMS_ORIGIN_REPLACEMENT : KMS_ORIGIN_GENERATED,
	.effort = KMS_EFFORT_FULL};
	KmsStatus	status;

	status = kms_kind_complete(&request->named, &new.kind, fault);
	if (status == KMS_OK && !replacement)
		status = check_limit(request->device_id, keys, fault);
	if (status == KMS_OK)
		status = kms_new_key_make(&new, issued, fault);
	return status;
}

static KmsStatus
check_limit(const char *device_id, const KmsDeviceKeys *keys, KmsFault *fault)
{
	if (keys->used < kms_keygen_limit)
		return kms_fault(fault, KMS_OK);
	fault->retry_at = keys->next_at;
	return kms_fault(fault, KMS_RATE_LIMITED);
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
