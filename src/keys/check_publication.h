/* Check of publications that carry tables of kms, for kms_check(). */
#ifndef KMS_KEYS_CHECK_PUBLICATION_H
#define KMS_KEYS_CHECK_PUBLICATION_H

#include "keys/finding.h"

extern void kms_check_publication(KmsReport report, void *arg);

/*
 * Warn of publications that carry the tables of an extension that is being
 * created, because their subscribers stop at the first row.
 */
extern void kms_check_publication_warn(void);

#endif							/* KMS_KEYS_CHECK_PUBLICATION_H */
