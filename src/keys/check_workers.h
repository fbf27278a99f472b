/*
 * What kms_check() says of the processes and places that the databases of a
 * server share.
 */
#ifndef KMS_KEYS_CHECK_WORKERS_H
#define KMS_KEYS_CHECK_WORKERS_H

#include "keys/finding.h"

/*
 * Databases beyond kms.max_databases, this one or others; reserved writers
 * that did not come; writers that take turns; waits to generate a key.
 */
extern void kms_check_workers(KmsReport report, void *arg);

#endif							/* KMS_KEYS_CHECK_WORKERS_H */
