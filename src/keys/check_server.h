/*
 * Checks of the launcher, the workers, the server and the tables of kms, for
 * kms_check().
 */
#ifndef KMS_KEYS_CHECK_SERVER_H
#define KMS_KEYS_CHECK_SERVER_H

#include "keys/finding.h"

extern void kms_check_server_launcher(KmsReport report, void *arg);
extern void kms_check_server_workers(KmsReport report, void *arg);
extern void kms_check_server(KmsReport report, void *arg);
extern void kms_check_server_lanes(KmsReport report, void *arg);
extern void kms_check_server_tables(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_SERVER_H */
