/*
 * The workers that the launcher has started: starting them, noticing that they
 * have ended, and counting those that run.
 *
 * A worker is named by the slot of its database in kms_shared and by its
 * number (KmsWorkerKind).
 */
#ifndef KMS_WORKER_CHILDREN_H
#define KMS_WORKER_CHILDREN_H

#include "datatype/timestamp.h"

/* Once, when the launcher starts. */
extern void kms_children_prepare(void);

/*
 * Notice which workers have ended, and keep one that never worked, or whose
 * last round failed, from being started again at once.
 */
extern void kms_children_reap(TimestampTz now);

/* Whether the worker runs, or a reserved writer was told to serve for it. */
extern bool kms_children_is_running(int slot, int number);

/* Whether any worker of the database runs. */
extern bool kms_children_any_running(int slot);

/* Count workers with these numbers that run, in all databases. */
extern int	kms_children_count(int first, int last);

/* Count writers and maintenance workers that run, without reserved writers. */
extern int	kms_children_count_in_places(void);

/*
 * Return false if no background worker slot was free a moment ago, so that it
 * is too early to try again.
 */
extern bool kms_children_may_register(void);

/*
 * Start a worker in a background worker slot.  Return false if none is free:
 * that is logged, and key generation leaves if the worker does not generate
 * keys itself.
 */
extern bool kms_children_start(int slot, int number, Oid database_oid,
							   TimestampTz now);

/* Have a reserved writer serve the database.  Return false if none waits. */
extern bool kms_children_assign(int slot, Oid database_oid, TimestampTz now);

#endif							/* KMS_WORKER_CHILDREN_H */
