/*
 * What kms_check() and kms_self_test() look at.
 */
#ifndef KMS_KEYS_CHECK_H
#define KMS_KEYS_CHECK_H

#include "keys/finding.h"

/*
 * Run all checks and return what they report: a list of KmsFinding, the worst
 * first.  Each runs by itself: one that fails is reported like what the others
 * find, and a lock that it needs is not waited for.  Raises only what ends the
 * statement, like a cancel.
 */
extern List *kms_check_run(void);

/*
 * Whether known answers come out right and a stored key, if there is one that
 * this server can open, decrypts what it encrypted; if not, *what says which
 * does not.
 */
extern bool kms_check_self_test(const char **what);

#endif							/* KMS_KEYS_CHECK_H */
