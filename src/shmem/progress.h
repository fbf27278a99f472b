/*
 * The progress of work that takes longer than seconds: a row in kms.progress,
 * and NOTICEs for a person who waits.
 */
#ifndef KMS_SHMEM_PROGRESS_H
#define KMS_SHMEM_PROGRESS_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "port/atomics.h"
#include "storage/lwlock.h"

/* Processes that are shown; the work of any other is not. */
#define KMS_PROGRESS_SLOTS	64

#define KMS_PROGRESS_NAME	32	/* size of an operation's name */
#define KMS_PROGRESS_PHASE	48	/* size of a phase's name */

#define KMS_PROGRESS_UNKNOWN	(-1)	/* no total, or only a guess */

/* The work of a process.  No id of a key or a device is in it. */
typedef struct KmsProgressRow
{
	int			pid;
	Oid			database;
	char		operation[KMS_PROGRESS_NAME];
	char		phase[KMS_PROGRESS_PHASE];
	int64		done;			/* of this phase */
	int64		total;			/* of this phase, or KMS_PROGRESS_UNKNOWN */
	TimestampTz started_at;		/* start of the operation */
} KmsProgressRow;

typedef struct KmsProgressSlot
{
	KmsProgressRow row;			/* pid is 0 if the slot is free; under the
								 * lock, except "done", which is not used */
	pg_atomic_uint64 done;		/* its owner adds without the lock */
} KmsProgressSlot;

/* In shared memory. */
typedef struct KmsProgress
{
	LWLock		lock;
	KmsProgressSlot slots[KMS_PROGRESS_SLOTS];
} KmsProgress;

/*
 * Initialize the slots.  Call once after each start or crash restart of the
 * server.
 */
extern void kms_progress_initialize(KmsProgress *slots, int tranche);

/* Use these slots, in this process and its children. */
extern void kms_progress_attach(KmsProgress *slots);

/* Install the callbacks of transactions.  Call it from _PG_init. */
extern void kms_progress_install(void);

/*
 * Begin an operation.  Inside of another one, the row keeps the name and the
 * start of the outer one, and shows the phases of the inner one.  The name and
 * the phases are static strings.
 */
extern void kms_progress_begin(const char *operation);

/*
 * Begin a phase of "total" steps, with none of them done.  Nothing happens if
 * no operation is in progress, or if it is in this phase already.
 */
extern void kms_progress_phase(const char *phase, int64 total);

/* Set the total of the phase when it becomes known. */
extern void kms_progress_expect(int64 total);

/* Add so many steps.  Takes no lock; may send a NOTICE. */
extern void kms_progress_add(int64 steps);

/* Return how many steps of the phase are done. */
extern int64 kms_progress_done(void);

/*
 * End the operation.  An error that ends its transaction or subtransaction, or
 * the end of the process, does this, too.
 */
extern void kms_progress_end(void);

/* Return a list of KmsProgressRow of all databases. */
extern List *kms_progress_read(void);

#endif							/* KMS_SHMEM_PROGRESS_H */
