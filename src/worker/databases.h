/*
 * Which databases there are, and which of them the launcher has to look at.
 */
#ifndef KMS_WORKER_DATABASES_H
#define KMS_WORKER_DATABASES_H

#include "datatype/timestamp.h"

/*
 * List all databases that can be connected to, if that is due: at the start,
 * every 30 s, and when a database has been made.
 */
extern void kms_databases_list(TimestampTz now);

/*
 * Have each listed database looked at once by a maintenance worker, as far as
 * there are slots.
 */
extern void kms_databases_probe(TimestampTz now);

/*
 * Whether a worker can connect to the database in this slot now.  If the
 * database is gone, or its DROP was interrupted, the request for the worker is
 * dropped.  If the database is being dropped, renamed, moved or copied, the
 * worker would only wait for that.
 */
extern bool kms_databases_is_open(int slot, int number, TimestampTz now);

/*
 * Free the slots and delete the ring files of databases that are gone, if that
 * is due.
 */
extern void kms_databases_sweep(TimestampTz now);

/* Free the slots of databases that were looked at and have no extension. */
extern void kms_databases_free_unused(void);

#endif							/* KMS_WORKER_DATABASES_H */
