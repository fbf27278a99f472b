/*
 * Taking what tells of a device out of the trail.
 *
 * Must be called in a transaction of READ COMMITTED, with rows found by a walk
 * (walk.h); raises on failure.
 */
#ifndef KMS_STORE_EVENT_BLANK_H
#define KMS_STORE_EVENT_BLANK_H

#include "crypto/chain.h"

/*
 * Blank what a row has of a device, of kms.event or of kms.event_quarantine,
 * and put the proof in its place (length 0: none, for the row has no salt and
 * so nothing to prove).  False if the row is gone.
 */
extern bool kms_event_blank_row(bool is_aside, int64 epoch, int64 ticket,
								const unsigned char *proof, size_t len);

/* Blank the same in changes that are on their way; returns how many. */
extern int64 kms_event_blank_outbox(const char *device_id);

#endif							/* KMS_STORE_EVENT_BLANK_H */
