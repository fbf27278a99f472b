/*
 * Checks of the master key, for kms_check(): whether there is one, in what
 * memory it is, and which keys need it.
 */
#ifndef KMS_KEYS_CHECK_MASTER_KEY_H
#define KMS_KEYS_CHECK_MASTER_KEY_H

#include "keys/finding.h"

extern void kms_check_master_key(KmsReport report, void *arg);
extern void kms_check_master_key_memory(KmsReport report, void *arg);
extern void kms_check_master_key_use(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_MASTER_KEY_H */
