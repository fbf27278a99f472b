/*
 * Keys whose share of failed decrypts is high, for kms_problematic_keys().
 */
#ifndef KMS_KEYS_PROBLEMATIC_H
#define KMS_KEYS_PROBLEMATIC_H

#include "store/problem.h"

/*
 * A list of KmsProblem of the hours until now, the worst first, whatever the
 * state of the key.  Warns if the rates are not known, because the trail lacks
 * successful decrypts.
 */
extern List *kms_problematic_find(double threshold_percent, int min_operations,
								  int hours);

#endif							/* KMS_KEYS_PROBLEMATIC_H */
