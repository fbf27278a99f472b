/*
 * Check for events that a standby recorded while it was a primary and that are
 * in no trail, because another server has continued without them.
 */
#ifndef KMS_KEYS_CHECK_UNWRITTEN_H
#define KMS_KEYS_CHECK_UNWRITTEN_H

#include "keys/finding.h"

/*
 * Return the number of these events.  It is 0 on a primary, because the writer
 * writes them there.
 */
extern uint64 kms_check_unwritten_count(void);

/* Report them, for kms_check(). */
extern void kms_check_unwritten(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_UNWRITTEN_H */
