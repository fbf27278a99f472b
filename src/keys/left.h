/*
 * Events that a standby has from its time as a primary and that are in no
 * trail: they were recorded here, and another server has gone on without them.
 */
#ifndef KMS_KEYS_LEFT_H
#define KMS_KEYS_LEFT_H

#include "keys/finding.h"

/* How many; 0 on a primary, whose writer writes them. */
extern uint64 kms_left_count(void);

/* For kms_check(). */
extern void kms_left_check(KmsReport report, void *arg);

#endif							/* KMS_KEYS_LEFT_H */
