/*
 * What kms_check() says of stored keys: whether they authenticate, and how
 * opened ones are kept.
 */
#ifndef KMS_KEYS_CHECK_KEYS_H
#define KMS_KEYS_CHECK_KEYS_H

#include "keys/finding.h"

extern void kms_check_keys(KmsReport report, void *arg);
extern void kms_check_keys_memory(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_KEYS_H */
