/*
 * kms.maintenance: what the purge remembers between rounds, under a seal.
 */
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
	int64		cleared;		/* keys due that were counted, may go, and
								 * have not gone yet */
} KmsPurgeState;

/*
 * Read the state and keep its row locked for the transaction.  False if
 * another transaction has it: purges do not run side by side.  A state that is
 * new, or was not written by kms_purge_state_save, confirms nothing: its day began
 * half a day ago, with what the trail says was purged within a day.  Both need
 * the master key.
 */
extern bool kms_purge_state_lock(KmsPurgeState *state, TimestampTz now);
extern void kms_purge_state_save(const KmsPurgeState *state);

/* The same without locking; all zero where nothing was remembered yet. */
extern void kms_purge_state_read(KmsPurgeState *state);

#endif							/* KMS_STORE_PURGE_STATE_H */
