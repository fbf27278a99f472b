/*
 * Checks of the processes and places that all databases of the server share,
 * for kms_check().
 */
#ifndef KMS_KEYS_CHECK_WORKERS_H
#define KMS_KEYS_CHECK_WORKERS_H

#include "keys/finding.h"

/*
 * Report databases beyond kms.max_databases, reserved writers that did not
 * start, writers that take turns, sessions that waited to generate a key, and
 * missing synchronous standbys.
 */
extern void kms_check_workers(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_WORKERS_H */
