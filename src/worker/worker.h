/*
 * The common part of the workers of a database.
 */
#ifndef KMS_WORKER_WORKER_H
#define KMS_WORKER_WORKER_H

#include "pg/compat.h"
#include "shmem/shared.h"

#define KMS_WORKER_IDLE_MS	2000	/* an idle worker leaves after this time */
#define KMS_WORKER_BACKOFF_MS	30000	/* longest pause after failures */

/* The launcher's order to a worker, in bgw_extra. */
typedef struct KmsWorkerOrder
{
	Oid			database_oid;
	int			number;			/* the worker's number: see KmsWorkerKind */
} KmsWorkerOrder;

typedef struct KmsWorker
{
	KmsDatabase *database;
	int			number;
	bool		leaving;		/* it ends by its own decision */
	bool		absent;			/* the database does not have the extension */
	KmsReserved *reserved;		/* NULL if this is no reserved writer */
	TimestampTz logged_at;		/* time of the last error in the log */
} KmsWorker;

/* The error that ended a round.  The message has no data of an event. */
typedef struct KmsWorkerError
{
	int			sqlstate;
	char		message[KMS_ERROR_SIZE];
} KmsWorkerError;

/* Copy the launcher's order to this process. */
extern void kms_worker_order(KmsWorkerOrder *order);

/*
 * Connect to the database, set up the session, and register the worker in
 * shared memory.  End the process if there is nothing to do for it.  All
 * fields of "worker" except "reserved" must be zero.
 */
extern void kms_worker_start(KmsWorker *worker, const KmsWorkerOrder *order);

/* End the process because there is nothing left to do for it. */
pg_noreturn extern void kms_worker_end(KmsWorker *worker);

/*
 * Return true if the worker has to leave at once, because its database is
 * being dropped, copied, renamed or moved.
 */
extern bool kms_worker_must_leave(const KmsWorker *worker);

/*
 * Return the OID of the extension, or InvalidOid.  Call it in a transaction.
 */
extern Oid	kms_worker_extension(void);

/*
 * Record that this database has the extension.  Return false if it does not
 * fit into kms.max_databases: then it is not served, and the worker has to
 * leave.
 */
extern bool kms_worker_present(KmsWorker *worker);

/*
 * Record that this database does not have the extension; the worker has to
 * leave.
 */
extern void kms_worker_absent(KmsWorker *worker);

/*
 * Run one round.  If it raises an error, return false with the error; the
 * transaction is aborted and nothing is logged.  Does not return if the
 * process is told to end, unless SIGTERM is only noted (clean_stop.h).
 */
extern bool kms_worker_try(void (*round) (void *arg), void *arg,
						   KmsWorkerError *error);

/*
 * Record the outcome of a round for kms_check().  Do not call these in a
 * transaction.
 */
extern void kms_worker_good(KmsWorker *worker);
extern void kms_worker_failed(KmsWorker *worker, const KmsWorkerError *error);

/*
 * Return the name of the database for messages.  Do not call it in a
 * transaction.
 */
extern const char *kms_worker_database(void);

/* Return how many rounds have failed in a row. */
extern int	kms_worker_failures(const KmsWorker *worker);

/* Return the pause in milliseconds after so many failures in a row. */
extern long kms_worker_backoff(int failures);

/* Read the configuration again if the server was told to reload it. */
extern void kms_worker_reload(void);

/*
 * Begin or commit a transaction with a snapshot.  "activity" is shown in
 * pg_stat_activity.
 */
extern void kms_worker_begin(const char *activity);
extern void kms_worker_commit(void);

#endif							/* KMS_WORKER_WORKER_H */
