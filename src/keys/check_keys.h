/*
 * Checks of stored keys, for kms_check(): whether they authenticate, and
 * whether opened keys are in locked memory.
 */
#ifndef KMS_KEYS_CHECK_KEYS_H
#define KMS_KEYS_CHECK_KEYS_H

#include "keys/finding.h"

extern void kms_check_keys(KmsReport report, void *arg);
extern void kms_check_keys_memory(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_KEYS_H */
