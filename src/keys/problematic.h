/*
 * Keys whose share of failed decrypts is high, for kms_problematic_keys().
 */
#ifndef KMS_KEYS_PROBLEMATIC_H
#define KMS_KEYS_PROBLEMATIC_H

#include "store/problem.h"

/*
 * Return a list of KmsProblem of the last "hours" hours, the worst first,
 * whatever the state of the keys.  Warn if the rates are wrong, because the
 * trail lacks successful decrypts.
 */
extern List *kms_problematic_find(double threshold_percent, int min_operations,
								  int hours);

#endif							/* KMS_KEYS_PROBLEMATIC_H */
