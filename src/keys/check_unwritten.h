/*
 * Events that a standby has from its time as a primary and that are in no
 * trail: they were recorded here, and another server has gone on without them.
 */
#ifndef KMS_KEYS_CHECK_UNWRITTEN_H
#define KMS_KEYS_CHECK_UNWRITTEN_H

#include "keys/finding.h"

/* How many; 0 on a primary, whose writer writes them. */
extern uint64 kms_check_unwritten_count(void);

/* For kms_check(). */
extern void kms_check_unwritten(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_UNWRITTEN_H */
