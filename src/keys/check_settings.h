/*
 * What kms_check() says of settings: those that are weaker than by default,
 * and those that are written down and not in force.
 */
#ifndef KMS_KEYS_CHECK_SETTINGS_H
#define KMS_KEYS_CHECK_SETTINGS_H

#include "keys/finding.h"

extern void kms_check_settings(KmsReport report, void *arg);
extern void kms_check_settings_files(KmsReport report, void *arg);
extern void kms_check_settings_command_line(KmsReport report, void *arg);
extern void kms_check_settings_altered(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_SETTINGS_H */
