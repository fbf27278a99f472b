/*
 * Checks of the event ring, of quarantined events and of the trail, for
 * kms_check().
 */
#ifndef KMS_KEYS_CHECK_TRAIL_H
#define KMS_KEYS_CHECK_TRAIL_H

#include "keys/finding.h"

extern void kms_check_trail_ring(KmsReport report, void *arg);
extern void kms_check_trail_quarantine(KmsReport report, void *arg);
extern void kms_check_trail(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_TRAIL_H */
