/*
 * The databases of the server, and which of them the launcher has to probe.
 */
#ifndef KMS_WORKER_DATABASES_H
#define KMS_WORKER_DATABASES_H

#include "datatype/timestamp.h"

/*
 * List all databases that can be connected to, if that is due: at the start,
 * every 30 s, and when a database was created.
 */
extern void kms_databases_list(TimestampTz now);

/*
 * Have each listed database probed once by a maintenance worker, as far as
 * there are slots.
 */
extern void kms_databases_probe(TimestampTz now);

/*
 * Return true if a worker can connect to the database in this slot now.
 *
 * If the database is gone, or its DROP was interrupted, also cancel the
 * request for the worker.  While the database is being dropped, renamed, moved
 * or copied, return false, because the worker would only wait for that.
 */
extern bool kms_databases_is_open(int slot, int number, TimestampTz now);

/*
 * Free the slots and delete the ring files of databases that are gone, if that
 * is due.
 */
extern void kms_databases_sweep(TimestampTz now);

/*
 * Free the slots of databases that were probed and do not have the extension.
 */
extern void kms_databases_free_unused(void);

#endif							/* KMS_WORKER_DATABASES_H */
