/*
 * Checks of settings, for kms_check(): those that are weaker than the
 * defaults, and those that were written to a file or catalog but are not in
 * force.
 */
#ifndef KMS_KEYS_CHECK_SETTINGS_H
#define KMS_KEYS_CHECK_SETTINGS_H

#include "keys/finding.h"

extern void kms_check_settings(KmsReport report, void *arg);
extern void kms_check_settings_files(KmsReport report, void *arg);
extern void kms_check_settings_command_line(KmsReport report, void *arg);
extern void kms_check_settings_altered(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_SETTINGS_H */
