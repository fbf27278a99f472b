/* Check for locks that hinder the event writer, for kms_check(). */
#ifndef KMS_KEYS_CHECK_LOCK_H
#define KMS_KEYS_CHECK_LOCK_H

#include "keys/finding.h"

/*
 * Name each holder of a lock for which the event writer of this database has
 * to wait, and each session that waits for such a lock ahead of the writer.
 */
extern void kms_check_lock(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_LOCK_H */
