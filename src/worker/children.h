/*
 * The launcher's child processes: start workers, notice that they have ended,
 * and count the running ones.
 *
 * A worker is identified by the slot of its database in kms_shared and by its
 * number (KmsWorkerKind).
 */
#ifndef KMS_WORKER_CHILDREN_H
#define KMS_WORKER_CHILDREN_H

#include "datatype/timestamp.h"

/* Allocate the list of children; call once, when the launcher starts. */
extern void kms_children_prepare(void);

/*
 * Notice which workers have ended.  A worker that ended before its first
 * round, or whose last round failed, is not started again before a pause.
 */
extern void kms_children_reap(TimestampTz now);

/*
 * Return true if the worker is running, or if a reserved writer was told to
 * serve in its place.
 */
extern bool kms_children_is_running(int slot, int number);

/* Return true if any worker of the database is running. */
extern bool kms_children_any_running(int slot);

/*
 * Return how many workers with the numbers "first" to "last" are running in
 * all databases.
 */
extern int	kms_children_count(int first, int last);

/*
 * Return how many writers and maintenance workers are running, not counting
 * reserved writers.
 */
extern int	kms_children_count_in_places(void);

/*
 * Return false if it is too early to register another worker, because no
 * background worker slot was free a moment ago.
 */
extern bool kms_children_may_register(void);

/*
 * Start a worker in a background worker slot.  If no slot is free, log that
 * and return false; if the worker does not generate keys itself, also make the
 * key generation workers leave.
 */
extern bool kms_children_start(int slot, int number, Oid database_oid,
							   TimestampTz now);

/*
 * Tell a reserved writer to serve the database.  Return false if none is idle.
 */
extern bool kms_children_assign(int slot, Oid database_oid, TimestampTz now);

#endif							/* KMS_WORKER_CHILDREN_H */
