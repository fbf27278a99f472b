/* Deleting keys that are due: a task of maintenance. */
#ifndef KMS_KEYS_PURGE_H
#define KMS_KEYS_PURGE_H

#include "keys/clock.h"
#include "keys/each.h"

/*
 * Delete a batch of the keys that are due by "clock".  "confirm" lets a purge
 * that waits for confirmation continue, for a day.
 */
extern void kms_purge_keys(const KmsClock *clock, bool confirm,
						   KmsTaskResult *result);

#endif							/* KMS_KEYS_PURGE_H */
