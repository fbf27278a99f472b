/*
 * When a key is due to be renewed: a device that asks from then on gets the
 * next key.
 */
#ifndef KMS_KEYS_RENEWAL_H
#define KMS_KEYS_RENEWAL_H

#include "datatype/timestamp.h"

#include "store/key.h"

/* The reason with which renewal deprecates a key. */
#define KMS_RENEWAL_REASON "Renewed"

/*
 * Return the time of renewal of an active key with this life, by the current
 * kms.key_renewal: expires_at - w - s, where w is the smaller of
 * kms.key_renewal and a third of its life, and s, from 0 to w/10, depends on
 * the key id.  Without renewal, return expires_at.
 */
extern TimestampTz kms_renewal_at(const char *key_id, TimestampTz created_at,
								  TimestampTz expires_at);

/* Return whether an active, unexpired key is to be renewed now. */
extern bool kms_renewal_is_due(const KmsKeyRow *row, TimestampTz now);

/*
 * Return whether the second half of the time between renewal and expiry has
 * begun, in which a caller waits for a key to be made.
 */
extern bool kms_renewal_is_urgent(const KmsKeyRow *row, TimestampTz now);

/* Return whether a key was deprecated because the next one was made. */
extern bool kms_renewal_was_done(const KmsKeyRow *row);

#endif							/* KMS_KEYS_RENEWAL_H */
