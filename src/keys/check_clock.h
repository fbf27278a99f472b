/* Checks of clocks, for kms_check(). */
#ifndef KMS_KEYS_CHECK_CLOCK_H
#define KMS_KEYS_CHECK_CLOCK_H

#include "keys/finding.h"

/*
 * Report a clock of maintenance that differs from the server's, or that is
 * unknown although there are keys.  Report rows from the future.
 */
extern void kms_check_clock(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_CLOCK_H */
