/*
 * What kms_check() and kms_self_test() look at.
 */
#ifndef KMS_KEYS_CHECK_H
#define KMS_KEYS_CHECK_H

#include "keys/finding.h"

/*
 * Run all checks.  Each runs by itself: one that fails is reported like what
 * the others find, and a lock that it needs is not waited for.  Raises only
 * what ends the statement, like a cancel.
 */
extern void kms_check_run(KmsReport report, void *arg);

/*
 * Whether a stored key, if there is one that this server can open, decrypts
 * what it encrypted; "what" is set to what did not work, else left alone.
 */
extern bool kms_check_one_key(const char **what);

#endif							/* KMS_KEYS_CHECK_H */
