/*
 * A renewal must never fail a call that has a valid key to hand out.  So it
 * runs in a subtransaction, and whatever is in its way undoes it.
 *
 * A renewal waits for no lock.  All locks are tried before anything is
 * changed.  The way in which PostgreSQL ends a wait for a lock, lock_timeout,
 * would swallow a cancel that comes at the same time, so that setting is only
 * for a lock that we do not foresee.
 *
 * A renewal that is undone after its first write still costs a transaction id
 * and WAL.  So what it needs is looked for before.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "keys/successor.h"

#include "keys/admit.h"
#include "keys/create.h"
#include "keys/device_keys.h"
#include "keys/pool.h"
#include "keys/renewal.h"
#include "keys/transition.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/subtransaction.h"
#include "shmem/shared.h"
#include "store/key_lock.h"
#include "store/key_table.h"

#define LOCK_PATIENCE	"1ms"

/*
 * How many keys one transaction renews.  Each holds the lock of its device
 * until the end, and the table of locks is that of the whole server.
 */
#define RENEWALS_MAX	50

#define COMPLAINT_PAUSE_MS	60000	/* between two lines in the log */

typedef struct Renewal
{
	KmsCall    *call;
	const KmsKey *old;
	const char *app_version;
	KmsIssued  *issued;
	KmsStatus	status;			/* KMS_OK: somebody else was faster or busy */
} Renewal;

/* Renewals in this transaction. */
static LocalTransactionId counted_in = InvalidLocalTransactionId;
static int	renewals = 0;

static bool renew(void *arg);
static bool lock(const Renewal *renewal, KmsKey *old);
static KmsStatus replace(Renewal *renewal, KmsKey *old);
static KmsStatus authenticate(const KmsKey *old);
static void complain(const Renewal *renewal, const ErrorData *error);

bool
kms_successor_is_possible(const KmsKeyRow *old)
{
	KmsKind		kind;

	if (RecoveryInProgress() || XactReadOnly || IsInParallelMode() ||
		!kms_kind_of(old, &kind))
		return false;
	if (counted_in != kms_local_transaction())
	{
		counted_in = kms_local_transaction();
		renewals = 0;
	}
	return renewals < RENEWALS_MAX;
}

bool
kms_successor_make(KmsCall *call, const KmsKey *old, const char *app_version,
				   KmsIssued *issued)
{
	Renewal		renewal = {call, old, app_version, issued, KMS_OK};
	ErrorData  *error;

	if (kms_subtransaction_run(renew, &renewal, LOCK_PATIENCE, &error))
	{
		renewals++;
		return true;
	}
	kms_call_operation(call, KMS_OP_ISSUE);
	kms_call_ends_as(call, KMS_CALL_SERVED);
	if (error != NULL &&
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
		ReThrowError(error);
	complain(&renewal, error);
	if (error != NULL)
		FreeErrorData(error);
	return false;
}

static bool
renew(void *arg)
{
	Renewal    *renewal = arg;
	KmsFault	ignored = {0};
	KmsKey		old;

	renewal->status = kms_create_prepare(renewal->old->row.device_id,
										 renewal->app_version, &ignored);
	if (renewal->status != KMS_OK || !lock(renewal, &old))
		return false;
	renewal->status = replace(renewal, &old);
	return renewal->status == KMS_OK;
}

/*
 * Take every lock that will be needed, and read the row again.  Return false
 * if one is not free, if no key is ready-made while that is required, or if
 * the key is no longer to be renewed.  The lock of the row is the first write.
 */
static bool
lock(const Renewal *renewal, KmsKey *old)
{
	const KmsKeyRow *row = &renewal->old->row;
	KmsDeviceKeys keys;
	KmsKind		kind;

	return kms_kind_of(row, &kind) &&
		kms_key_lock_try_tables() &&
		(kms_key_algorithm_type(kind.algorithm) != KMS_TYPE_RSA ||
		 kms_renewal_is_urgent(row, GetCurrentTimestamp()) ||
		 kms_pool_has(kind.algorithm)) &&
		kms_device_keys_try_lock(&keys, row->device_id, &kind) &&
		keys.found && strcmp(keys.valid.row.key_id, row->key_id) == 0 &&
		kms_key_lock_row(row->key_id, KMS_TRY_LOCK_TO_CHANGE) &&
		kms_key_table_read(row->key_id, old) &&
		kms_key_state(old) == KMS_STATE_ACTIVE &&
		kms_renewal_is_due(&old->row, keys.now);
}

static KmsStatus
replace(Renewal *renewal, KmsKey *old)
{
	KmsNewKey	new = {old->row.device_id, renewal->app_version,
	KMS_ORIGIN_RENEWAL};
	KmsFault	ignored = {0};
	KmsStatus	status = authenticate(old);

	if (kms_renewal_is_urgent(&old->row, GetCurrentTimestamp()))
		new.effort = KMS_EFFORT_AT_ONCE;
	(void) kms_kind_of(&old->row, &new.kind);
	if (status == KMS_OK)
		status = kms_new_key_make(&new, renewal->issued, &ignored);
	if (status == KMS_OK)
		status = kms_transition_deprecate(old, KMS_RENEWAL_REASON, &ignored);
	if (status != KMS_OK)
		return status;
	kms_call_operation(renewal->call, KMS_OP_GENERATE);
	kms_call_key(renewal->call, renewal->issued->key_id);
	kms_call_record(renewal->call);
	return KMS_OK;
}

/* Do this before a key is made, which would be for nothing. */
static KmsStatus
authenticate(const KmsKey *old)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	KmsSecretDigests digests;
	KmsFault	ignored = {0};
	KmsStatus	status;

	status = kms_admit_locked(&old->row, secret, &digests, &ignored);
	pfree(secret);
	return status;
}

/*
 * Write to the log why it did not work, unless the next call may succeed.  One
 * line in a while is enough, because every call of every device may have the
 * same to say.
 */
static void
complain(const Renewal *renewal, const ErrorData *error)
{
	KmsDatabase *database = kms_shared_database();
	const char *why;

	if (error == NULL ? renewal->status == KMS_OK ||
		renewal->status == KMS_INTERRUPTED :
		error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		return;
	if (database == NULL ||
		kms_shared_pausing(database->renewal_silent_until, COMPLAINT_PAUSE_MS))
		return;
	database->renewal_silent_until =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), COMPLAINT_PAUSE_MS);
	why = error != NULL ? kms_subtransaction_error_text(error) :
		kms_status_reason(renewal->status);
	ereport(LOG,
			(errmsg("kms: encryption key \"%s\" could not be renewed: %s",
					renewal->old->row.key_id, why),
			 errhint("The device gets this key until it expires, and each call of kms_issue_key() tries again. Other keys may have the same problem; this is logged once a minute."),
			 KMS_HIDE_STATEMENT));
}
