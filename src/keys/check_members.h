/*
 * Checks of the extension's objects, for kms_check(): their owners, the rights
 * of roles, what others attached to them, and how they are stored.
 */
#ifndef KMS_KEYS_CHECK_MEMBERS_H
#define KMS_KEYS_CHECK_MEMBERS_H

#include "keys/finding.h"

extern void kms_check_members_owners(KmsReport report, void *arg);
extern void kms_check_members_rights(KmsReport report, void *arg);
extern void kms_check_members_attached(KmsReport report, void *arg);
extern void kms_check_members_storage(KmsReport report, void *arg);
extern void kms_check_members_version(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_MEMBERS_H */
