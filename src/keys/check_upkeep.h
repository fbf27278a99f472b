/*
 * Checks for prepared transactions and foreign keys that hinder maintenance,
 * for kms_check().
 */
#ifndef KMS_KEYS_CHECK_UPKEEP_H
#define KMS_KEYS_CHECK_UPKEEP_H

#include "keys/finding.h"

extern void kms_check_upkeep_prepared(KmsReport report, void *arg);
extern void kms_check_upkeep_purge(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_UPKEEP_H */
