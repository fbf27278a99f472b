/* kms.maintenance: the sealed state of the purge between rounds. */
#ifndef KMS_STORE_PURGE_STATE_H
#define KMS_STORE_PURGE_STATE_H

#include "datatype/timestamp.h"

typedef struct KmsPurgeState
{
	TimestampTz window_start;	/* 0: none yet */
	int64		window_keys;	/* keys when the window began */
	int64		purged;			/* keys purged in the window */
	TimestampTz blocked_at;		/* 0: not blocked */
	int64		waiting;		/* keys that wait for confirmation */
	TimestampTz confirmed_until;	/* 0: not confirmed */
	int64		cleared;		/* due keys that were counted, may be deleted,
								 * and still exist */
} KmsPurgeState;

/*
 * Read the state, and keep its row locked for the transaction.  Return false
 * if another transaction holds it, so that only one purge runs at a time.  A
 * state that is new, or that kms_purge_state_save did not write, confirms
 * nothing: its day began half a day ago, and keys that were purged within the
 * last day, according to the trail, count for it.  Both functions need the
 * master key.
 */
extern bool kms_purge_state_lock(KmsPurgeState *state, TimestampTz now);
extern void kms_purge_state_save(const KmsPurgeState *state);

/* Read the state without locking it.  It is all zero if nothing is stored. */
extern void kms_purge_state_read(KmsPurgeState *state);

#endif							/* KMS_STORE_PURGE_STATE_H */
