/*
 * What kms_check() says of locks in the way of the event writer.
 */
#ifndef KMS_KEYS_CHECK_LOCK_H
#define KMS_KEYS_CHECK_LOCK_H

#include "keys/finding.h"

/*
 * Name each holder of a lock that the event writer of this database has to
 * wait for, and each session whose own wait it stands behind.
 */
extern void kms_check_lock(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_LOCK_H */
