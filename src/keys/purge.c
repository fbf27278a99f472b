/*
 * Purging.
 *
 * The purge has a breaker: within a day it deletes at most 5 % of the keys
 * that existed when the day began, or 1,000 if that is more.  If more are due,
 * it deletes nothing until an operator confirms.  The state is one row, which
 * a purge locks.  Counting many due keys takes time, so keys that were counted
 * and may be deleted are not counted again for each batch.  store/reference.h
 * has the rules for foreign keys.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "keys/purge.h"

#include "keys/admit.h"
#include "keys/call.h"
#include "pg/settings.h"
#include "shmem/master.h"
#include "store/due.h"
#include "store/key_lock.h"
#include "store/key_table.h"
#include "store/purge_state.h"
#include "store/reference.h"

#define FLOOR	1000			/* keys a day that need no confirmation */
#define SHARE	20				/* 1/20 of all keys a day needs none either */
#define SHOWN	1000000			/* due keys are counted up to this */

static int64 allowance(KmsPurgeState *state, bool confirm, TimestampTz now);
static bool is_clear(KmsPurgeState *state, int64 allowed,
					 const KmsClock *clock);
static KmsOutcome purge_key(const char *key_id, void *arg);
static bool is_due(const KmsKey *key, TimestampTz now);

void
kms_purge_keys(const KmsClock *clock, bool confirm, KmsTaskResult *result)
{
	KmsPurgeState state;
	List	   *ids;
	int64		allowed;
	int64		limit;
	int			untried;
	bool		moved;

	if (kms_master_generation() == 0 || !clock->known ||
		!kms_purge_state_lock(&state, clock->kept))
		return;

	/* the kept clock never goes back, so no day begins twice */
	allowed = allowance(&state, confirm, clock->kept);
	if (kms_reference_lock("key") != NULL ||
		kms_reference_lock("key_secret") != NULL ||
		kms_reference_lock("denial") != NULL)
	{
		result->skipped = kms_due_purge_count(clock->due, SHOWN);
		kms_purge_state_save(&state);
		return;
	}
	if (!is_clear(&state, allowed, clock))
	{
		result->skipped = state.waiting;
		kms_purge_state_save(&state);
		return;
	}

	limit = Max(0, Min(KMS_SWEEP_MAX, allowed));
	ids = kms_due_find(KMS_SWEEP_PURGE, clock->due, limit, &untried);
	if (ids == NIL || (kms_reference_check_now("key") &&
					   kms_reference_check_now("key_secret") &&
					   kms_reference_check_now("denial")))
		moved = kms_each_key(ids, purge_key, clock, result);
	else
	{
		moved = false;
		result->skipped = list_length(ids);
	}
	state.purged += result->done;
	state.cleared = Max(0, state.cleared - untried);
	result->more = moved && untried == KMS_SWEEP_MAX;
	kms_purge_state_save(&state);
}

/*
 * Return how many more keys may be deleted now.  Begin a new day if the last
 * one is over.
 */
static int64
allowance(KmsPurgeState *state, bool confirm, TimestampTz now)
{
	if (confirm)
		state->confirmed_until = now + USECS_PER_DAY;
	if (state->window_start == 0 || now < state->window_start ||
		now >= state->window_start + USECS_PER_DAY)
	{
		state->window_start = now;
		state->window_keys = kms_due_key_count();
		state->purged = 0;
		state->cleared = 0;
	}
	if (state->confirmed_until > now &&
		state->confirmed_until <= now + USECS_PER_DAY)
		return PG_INT64_MAX;
	return Max(FLOOR, state->window_keys / SHARE) - state->purged;
}

/* Return whether no more keys are due than may be deleted. */
static bool
is_clear(KmsPurgeState *state, int64 allowed, const KmsClock *clock)
{
	int64		due = 0;

	if (allowed != PG_INT64_MAX)
	{
		if (state->cleared >= KMS_SWEEP_MAX && state->cleared <= allowed)
			return true;
		due = kms_due_purge_count(clock->due, Max(SHOWN, 2 * allowed));
	}
	state->cleared = 0;
	if (due > 0 && due > allowed)
	{
		if (state->blocked_at == 0)
			state->blocked_at = clock->server;
		state->waiting = due;
		return false;
	}
	state->blocked_at = 0;
	state->waiting = 0;
	state->cleared = due;
	return true;
}

/*
 * Delete a key that is due.  A row that is not authentic may have forged
 * dates, so it is kept for the operator.  A row whose master key is gone
 * cannot be authenticated; it is purged all the same.
 */
static KmsOutcome
purge_key(const char *key_id, void *arg)
{
	const KmsClock *clock = arg;
	KmsFault	fault = {0};
	KmsKey		key;
	KmsKeySecret *secret;
	KmsSecretDigests digests;
	KmsStatus	status;

	if (!kms_key_lock_row(key_id, KMS_TRY_LOCK_TO_DELETE) ||
		!kms_key_table_read(key_id, &key) ||
		!is_due(&key, clock->due))
		return KMS_OUTCOME_NOT_OURS;
	secret = palloc(sizeof(KmsKeySecret));
	status = kms_admit_locked(&key.row, secret, &digests, &fault);
	pfree(secret);
	if (status != KMS_OK && status != KMS_OTHER_MASTER_KEY)
		return KMS_OUTCOME_FAILED;
	if (!kms_key_table_delete(&key.row))
		return KMS_OUTCOME_NOT_OURS;
	kms_call_record_change(KMS_OP_PURGE, key.row.key_id, key.row.device_id,
						   NULL);
	return KMS_OUTCOME_DONE;
}

static bool
is_due(const KmsKey *key, TimestampTz now)
{
	TimestampTz delete_at = kms_key_delete_at(key);

	switch (kms_key_state(key))
	{
		case KMS_STATE_PENDING_DELETION:
			return delete_at != 0 && delete_at <= now;
		case KMS_STATE_REVOKED:
			if (delete_at != 0)
				return delete_at <= now;
			/* fall through */
		case KMS_STATE_ACTIVE:
		case KMS_STATE_DEPRECATED:
			return key->row.expires_at <= now - kms_key_retention * USECS_PER_SEC;
		default:
			return false;
	}
}
