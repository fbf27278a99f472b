/* The checks of kms_check() and kms_self_test(). */
#ifndef KMS_KEYS_CHECK_H
#define KMS_KEYS_CHECK_H

#include "keys/finding.h"

/*
 * Run all checks.  Return a list of KmsFinding, the worst first.  A check that
 * raises an error becomes a finding, and the others run.  Checks that cannot
 * get a lock soon are reported as not checked.  Raise only an error that ends
 * the statement, such as a cancel.
 */
extern List *kms_check_run(void);

/*
 * Return whether the known-answer tests pass and a stored key decrypts what it
 * encrypted.  The latter is skipped if there is no key that this server can
 * open.  On false, *what names the test that failed.
 */
extern bool kms_check_self_test(const char **what);

#endif							/* KMS_KEYS_CHECK_H */
