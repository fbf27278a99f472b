/* Findings of kms_check() about field keys and the rights on them. */
#ifndef KMS_KEYS_CHECK_FIELDS_H
#define KMS_KEYS_CHECK_FIELDS_H

#include "keys/finding.h"

extern void kms_check_fields_rows(KmsReport report, void *result);
extern void kms_check_fields_destroyed(KmsReport report, void *result);
extern void kms_check_fields_rights(KmsReport report, void *result);

#endif							/* KMS_KEYS_CHECK_FIELDS_H */
