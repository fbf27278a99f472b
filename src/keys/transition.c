/*
 * Changing states.  docs/design/seal-and-denial.md describes seals and
 * denials.
 *
 * A row is changed in one way only: it is read, authenticated, brought to its
 * next version, sealed and written, in one transaction that holds its row
 * lock.  So a row that did not authenticate is never sealed.  Each version
 * writes one event in the same transaction.
 *
 * Denying the use of a key must not depend on that.  The row is changed only
 * if nothing has to be waited for: there is a master key, neither the table
 * nor the row is locked, and the transaction has no snapshot of its own (under
 * which a row that was changed since could not be locked).  Otherwise a denial
 * is inserted.  It is in force from its commit, and maintenance or the next
 * change applies it to the row.
 *
 * Without the row lock we cannot trust the state that we read: a concurrent
 * transaction may be re-enabling the key.  So insert the denial even if the
 * key already looks denied.
 *
 * Enabling a key must not give its device a second active one.  So it takes
 * the device's lock, as issuing does, after the lock of the row (see
 * keys/issue.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/transition.h"

#include "keys/admit.h"
#include "keys/kind.h"
#include "keys/renewal.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "shmem/master.h"
#include "store/denial_table.h"
#include "store/key_lock.h"
#include "store/key_table.h"
#include "store/reference.h"

#define IN(state)	(1 << (state))
#define IN_USE		(IN(KMS_STATE_ACTIVE) | IN(KMS_STATE_DEPRECATED))

/*
 * A deletion is scheduled at least 7 days ahead.  One of them is for sealing
 * it.
 */
#define FOLDED_DELETION_DAYS 6

typedef struct Transition
{
	KmsOperation operation;
	int			from;			/* states from which it leads, as bits */
	int			already;		/* states in which nothing is left to do, as
								 * bits */
	KmsKeyState to;				/* NONE: the state before */
	bool		denies;
} Transition;

static const Transition transitions[] = {
	{KMS_OP_DEPRECATE, IN(KMS_STATE_ACTIVE), IN(KMS_STATE_DEPRECATED),
	KMS_STATE_DEPRECATED, false},
	{KMS_OP_DISABLE, IN_USE, IN(KMS_STATE_DISABLED),
	KMS_STATE_DISABLED, true},
	{KMS_OP_ENABLE, IN(KMS_STATE_DISABLED), IN_USE,
	KMS_STATE_NONE, false},
	{KMS_OP_REVOKE,
		IN_USE | IN(KMS_STATE_DISABLED) | IN(KMS_STATE_PENDING_DELETION),
		IN(KMS_STATE_REVOKED),
	KMS_STATE_REVOKED, true},
	{KMS_OP_SCHEDULE_DELETION,
		IN_USE | IN(KMS_STATE_DISABLED) | IN(KMS_STATE_REVOKED),
		IN(KMS_STATE_PENDING_DELETION),
	KMS_STATE_PENDING_DELETION, true},
	{KMS_OP_CANCEL_DELETION, IN(KMS_STATE_PENDING_DELETION),
		IN(KMS_STATE_DISABLED),
	KMS_STATE_DISABLED, false}
};

static KmsStatus find_and_change(KmsCall *call,
								 const KmsStateRequest *request, KmsKey *key,
								 KmsFault *fault);
static const Transition *find_transition(KmsOperation operation);
static KmsStatus check_from(const Transition *transition, const KmsKey *key,
							bool locked, bool *already, KmsFault *fault);
static bool lock_key(const Transition *transition, KmsKey *key);
static KmsStatus delete_key(const char *key_id, KmsFault *fault);
static void refuse_references(const char *table);
static KmsStatus change(const Transition *transition,
						const KmsStateRequest *request, KmsKey *key,
						KmsFault *fault);
static void deny(const Transition *transition, const KmsStateRequest *request);
static KmsStatus write_next(KmsKey *key, const KmsKey *next,
							KmsFault *fault);
static void enter(KmsKeyRow *next, KmsKeyState state,
				  const KmsStateRequest *request);
static void set_reason(KmsKeyRow *next, const char *reason);
static void leave_disabled(KmsKeyRow *next);
static bool has_other_active(const KmsKeyRow *row);
static bool is_other_active(const KmsKey *key, KmsRowOrigin origin,
							void *arg);
static void merge_denial(KmsKey *next);
static KmsKeyState home(const KmsKeyRow *row);

KmsStatus
kms_transition_change(KmsCall *call, const KmsStateRequest *request,
					  KmsStateOutcome *outcome, KmsFault *fault)
{
	KmsKey		key;
	KmsStatus	status;

	PreventCommandDuringRecovery(request->function);
	PreventCommandIfReadOnly(request->function);
	PreventCommandIfParallelMode(request->function);
	status = find_and_change(call, request, &key, fault);
	if (status != KMS_OK)
		return status;
	outcome->state = kms_key_state_name(kms_key_state(&key));
	outcome->delete_at = kms_key_delete_at(&key);
	return status;
}

static KmsStatus
find_and_change(KmsCall *call, const KmsStateRequest *request, KmsKey *key,
				KmsFault *fault)
{
	const Transition *transition = find_transition(request->operation);
	bool		already;
	bool		locked;
	KmsStatus	status;

	status = kms_admit_find(request->key_id, NULL, key, fault);
	if (status != KMS_OK)
		return status;
	kms_call_found(call, key->row.key_id, key->row.device_id);
	locked = lock_key(transition, key);
	if (locked)
		status = kms_admit_find(request->key_id, NULL, key, fault);
	if (status == KMS_OK)
		status = check_from(transition, key, locked, &already, fault);
	if (status != KMS_OK)
		return status;
	kms_call_ends_as(call, already ? KMS_CALL_UNCHANGED : KMS_CALL_CHANGED);
	if (already)
		return status;

	if (locked && !(transition->denies && kms_master_generation() == 0))
		status = change(transition, request, key, fault);
	else
		status = KMS_NO_MASTER_KEY;
	if (status != KMS_OK && transition->denies)
	{
		deny(transition, request);
		status = kms_admit_find(request->key_id, NULL, key, fault);
	}
	return status;
}

KmsStatus
kms_transition_destroy(KmsCall *call, const char *key_id, KmsFault *fault)
{
	KmsKey		key;
	KmsStatus	status;

	PreventCommandDuringRecovery("kms_destroy_key()");
	PreventCommandIfReadOnly("kms_destroy_key()");
	PreventCommandIfParallelMode("kms_destroy_key()");
	kms_call_ends_as(call, KMS_CALL_CHANGED);
	status = kms_admit_find(key_id, NULL, &key, fault);
	if (status != KMS_OK)
		return status;
	kms_call_found(call, key.row.key_id, key.row.device_id);
	return delete_key(key_id, fault);
}

KmsStatus
kms_transition_erase(const char *key_id, const char *reason, KmsFault *fault)
{
	KmsStatus	status = delete_key(key_id, fault);

	if (status == KMS_OK)
		kms_call_record_change(KMS_OP_DESTROY, key_id, "", reason);
	return status;
}

static KmsStatus
delete_key(const char *key_id, KmsFault *fault)
{
	static const char *const deleted_from[] = {"key", "key_secret", "denial"};
	KmsKey		key;
	KmsStatus	status;
	int			i;

	for (i = 0; i < (int) lengthof(deleted_from); i++)
		refuse_references(deleted_from[i]);
	if (!kms_key_lock_row(key_id, KMS_TRY_LOCK_TO_DELETE))
	{
		status = kms_admit_find(key_id, NULL, &key, fault);
		if (status != KMS_OK)
			return status;
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("encryption key \"%s\" is in use by another transaction",
						key.row.key_id),
				 errhint("Try again when it has ended (see pg_locks), or deny its use with kms_revoke_key(), which does not wait for it."),
				 KMS_HIDE_STATEMENT));
	}
	status = kms_admit_find(key_id, NULL, &key, fault);
	if (status == KMS_OK && !kms_key_table_delete(&key.row))
		status = kms_fault(fault, KMS_KEY_NOT_FOUND);
	return status;
}

/*
 * Delete nothing if a foreign key would run its triggers with the rights of
 * the extension's owner; see store/reference.h.
 */
static void
refuse_references(const char *table)
{
	char	   *acting = kms_reference_lock(table);

	if (acting != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing is deleted from kms.%s because of foreign key %s, which acts on deletes",
						table, acting),
				 errhint("Make it ON DELETE NO ACTION or RESTRICT."),
				 KMS_HIDE_STATEMENT));
	if (!kms_reference_check_now(table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this transaction has checks of foreign keys to kms.%s pending",
						table),
				 errhint("Change the key in a transaction of its own."),
				 KMS_HIDE_STATEMENT));
}

KmsStatus
kms_transition_deprecate(KmsKey *key, const char *reason, KmsFault *fault)
{
	KmsKey		next = *key;
	KmsStatus	status;

	next.row.state = KMS_STATE_DEPRECATED;
	set_reason(&next.row, reason);
	next.row.state_changed_at = GetCurrentTimestamp();
	next.row.row_version++;
	status = write_next(key, &next, fault);
	if (status == KMS_OK)
		kms_call_record_change(KMS_OP_DEPRECATE, key->row.key_id,
							   key->row.device_id, reason);
	return status;
}

KmsStatus
kms_transition_fold(KmsKey *key, KmsFault *fault)
{
	KmsKey		next = *key;

	merge_denial(&next);
	return write_next(key, &next, fault);
}

static const Transition *
find_transition(KmsOperation operation)
{
	int			i;

	for (i = 0; i < (int) lengthof(transitions); i++)
	{
		if (transitions[i].operation == operation)
			return &transitions[i];
	}
	elog(ERROR, "operation %d is no change of state", (int) operation);
	return NULL;				/* keep the compiler quiet */
}

/*
 * Return KMS_OK if the key's state allows the transition, or is the target
 * already.
 */
static KmsStatus
check_from(const Transition *transition, const KmsKey *key, bool locked,
		   bool *already, KmsFault *fault)
{
	KmsKeyState state = kms_key_state(key);
	int			from = transition->from;

	if (!locked)
		from |= transition->already | IN(KMS_STATE_DISABLED);
	/* a renewed key encrypts, which ends if it is deprecated by hand */
	if (transition->operation == KMS_OP_DEPRECATE &&
		kms_renewal_was_done(&key->row))
		from |= IN(KMS_STATE_DEPRECATED);
	*already = locked && (from & IN(state)) == 0 &&
		(transition->already & IN(state)) != 0;
	if (*already || (from & IN(state)) != 0)
		return kms_fault(fault, KMS_OK);
	switch (state)
	{
		case KMS_STATE_DISABLED:
			fault->hint = "Call kms_enable_key() before, in the same transaction: until it commits the key stays disabled.";
			return kms_fault(fault, KMS_KEY_DISABLED);
		case KMS_STATE_REVOKED:
			fault->hint = "A revoked key cannot come back; it can only be deleted.";
			return kms_fault(fault, KMS_KEY_REVOKED);
		case KMS_STATE_PENDING_DELETION:
			fault->hint = "Nothing can use it any more; kms_cancel_key_deletion() makes it a disabled key.";
			return kms_fault(fault, KMS_KEY_PENDING_DELETION);
		case KMS_STATE_ACTIVE:
		case KMS_STATE_DEPRECATED:
			fault->message = psprintf("encryption key \"%s\" is not pending deletion",
									  key->row.key_id);
			return kms_fault(fault, KMS_WRONG_STATE);
		default:
			return kms_fault(fault, KMS_NOT_AUTHENTIC);
	}
}

/*
 * Lock the row.  A transition that denies does not wait: if it cannot get the
 * lock, return false.  The others get it.  If more denials may exist than are
 * read at once, apply them first.
 */
static bool
lock_key(const Transition *transition, KmsKey *key)
{
	KmsFault	ignored = {0};

	if (transition->denies)
		return !IsolationUsesXactSnapshot() && kms_key_lock_try_table() &&
			kms_key_lock_row(key->row.key_id, KMS_TRY_LOCK_TO_CHANGE);
	(void) kms_key_lock_row(key->row.key_id, KMS_LOCK_TO_CHANGE);
	if (transition->operation == KMS_OP_ENABLE)
		kms_key_lock_device(key->row.device_id);
	while (kms_key_table_read(key->row.key_id, key) &&
		   key->denial.count == KMS_DENIALS_MAX)
	{
		refuse_references("denial");
		if (kms_transition_fold(key, &ignored) != KMS_OK)
			break;
	}
	return true;				/* if the row is gone, the caller finds that */
}

static KmsStatus
change(const Transition *transition, const KmsStateRequest *request,
	   KmsKey *key, KmsFault *fault)
{
	KmsKey		next = *key;

	if (key->denial.count > 0)
	{
		if (transition->denies)
			return KMS_FAILED;	/* maintenance applies all denials together */
		refuse_references("denial");
	}
	merge_denial(&next);
	if (transition->to == KMS_STATE_NONE)
		leave_disabled(&next.row);
	else
		enter(&next.row, transition->to, request);
	next.row.state_changed_at = GetCurrentTimestamp();
	next.row.row_version++;
	return write_next(key, &next, fault);
}

static void
deny(const Transition *transition, const KmsStateRequest *request)
{
	kms_denial_table_insert(request->key_id, transition->to, request->reason,
							request->delete_at);
	kms_call_wish(KMS_MAINTENANCE);
}

/*
 * Write the next version of a locked row, with its denials, if the row
 * authenticates.  On KMS_OK, *key is the next version.  Otherwise nothing is
 * written.
 */
static KmsStatus
write_next(KmsKey *key, const KmsKey *next, KmsFault *fault)
{
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));
	int64		version = key->row.row_version;
	KmsSecretDigests digests;
	KmsStatus	status;

	status = kms_admit_locked(&key->row, secret, &digests, fault);
	pfree(secret);
	if (status != KMS_OK)
		return status;
	*key = *next;
	status = kms_key_seal_row(&key->row, &digests, fault);
	if (status != KMS_OK)
		return status;
	if (!kms_key_table_update(&key->row, version))
		return kms_fault(fault, KMS_KEY_NOT_FOUND);
	kms_denial_table_delete(&key->denial);
	memset(&key->denial, 0, sizeof(key->denial));
	return kms_fault(fault, KMS_OK);
}

/*
 * Change the state of a row.  A key that cannot be used keeps its earlier
 * state, the reason why it was deprecated or first revoked, and the date of
 * its deletion.
 */
static void
enter(KmsKeyRow *next, KmsKeyState state, const KmsStateRequest *request)
{
	KmsKeyState was = home(next);

	next->state = state;
	next->prior_state = KMS_STATE_NONE;
	if (state == KMS_STATE_DISABLED || state == KMS_STATE_PENDING_DELETION)
		next->prior_state = was;
	if (state != KMS_STATE_PENDING_DELETION && state != KMS_STATE_REVOKED)
	{
		next->has_delete_at = false;
		next->delete_at = 0;
	}
	else if (!next->has_delete_at && request->delete_at != 0)
	{
		next->has_delete_at = true;
		next->delete_at = request->delete_at;
	}

	if (state == KMS_STATE_DEPRECATED ||
		(state == KMS_STATE_REVOKED && was != KMS_STATE_REVOKED))
		set_reason(next, request->reason);
}

static void
set_reason(KmsKeyRow *next, const char *reason)
{
	memset(next->state_reason, 0, sizeof(next->state_reason));
	next->has_state_reason = reason != NULL;
	if (reason != NULL)
		strlcpy(next->state_reason, reason, sizeof(next->state_reason));
}

static void
leave_disabled(KmsKeyRow *next)
{
	next->state = home(next);
	next->prior_state = KMS_STATE_NONE;
	if (next->state == KMS_STATE_ACTIVE && has_other_active(next))
	{
		next->state = KMS_STATE_DEPRECATED;
		set_reason(next, "Replaced");
	}
}

/* Must hold the device's lock. */
static bool
has_other_active(const KmsKeyRow *row)
{
	KmsKeyRow	other = *row;

	kms_key_table_visit_device(row->device_id, is_other_active, &other);
	return strcmp(other.key_id, row->key_id) != 0;
}

/* Replace *arg by the other row. */
static bool
is_other_active(const KmsKey *key, KmsRowOrigin origin, void *arg)
{
	KmsKeyRow  *other = arg;

	if (strcmp(key->row.key_id, other->key_id) == 0 ||
		kms_key_state(key) != KMS_STATE_ACTIVE ||
		!kms_kind_same(&key->row, other) ||
		key->row.expires_at <= GetCurrentTimestamp())
		return true;
	*other = key->row;
	return false;
}

/* Change the row as its denials demand. */
static void
merge_denial(KmsKey *next)
{
	KmsKeyRow  *row = &next->row;
	const KmsDenial *denial = &next->denial;
	KmsKeyState state = kms_key_state(next);
	KmsStateRequest request = {0};

	if (denial->count == 0)
		return;
	request.reason = denial->reason[0] != '\0' ? denial->reason : NULL;
	request.delete_at = kms_key_delete_at(next);

	/* the date is not sealed, so leave time to notice and cancel it */
	if (!row->has_delete_at && request.delete_at != 0)
		request.delete_at = Max(request.delete_at, GetCurrentTimestamp() +
								FOLDED_DELETION_DAYS * USECS_PER_DAY);
	if (denial->revoked && home(row) != KMS_STATE_REVOKED)
		enter(row, KMS_STATE_REVOKED, &request);
	if (row->state != state)
		enter(row, state, &request);
	row->state_changed_at = Max(row->state_changed_at, denial->denied_at);
	row->row_version += denial->count;
}

/*
 * Return the state that the key has, or had before it was disabled or
 * scheduled for deletion.  Of the states that deny its use, that can only be
 * "revoked".
 */
static KmsKeyState
home(const KmsKeyRow *row)
{
	if (row->state == KMS_STATE_DISABLED ||
		row->state == KMS_STATE_PENDING_DELETION)
		return row->prior_state;
	return row->state;
}
