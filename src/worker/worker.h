/*
 * What the workers of a database have in common.
 */
#ifndef KMS_WORKER_WORKER_H
#define KMS_WORKER_WORKER_H

#include "pg/compat.h"
#include "shmem/shared.h"

#define KMS_WORKER_IDLE_MS	2000	/* a worker with nothing to do leaves */
#define KMS_WORKER_BACKOFF_MS	30000	/* the longest after failures */

/* How the launcher tells a worker what it is to do, in bgw_extra. */
typedef struct KmsWorkerOrder
{
	Oid			database_oid;
	int			number;			/* of the worker: see KmsWorkerKind */
} KmsWorkerOrder;

typedef struct KmsWorker
{
	KmsDatabase *database;
	int			number;
	bool		leaving;		/* it ends because it wants to */
	bool		absent;			/* there is no extension here to work for */
	KmsReserved *reserved;		/* of a reserved writer; NULL: it is none */
	TimestampTz logged_at;		/* of the last error in the log */
} KmsWorker;

/* The error that ended a round; no data of an event. */
typedef struct KmsWorkerError
{
	int			sqlstate;
	char		message[KMS_ERROR_SIZE];
} KmsWorkerError;

/* What the launcher has told the process that it started. */
extern void kms_worker_order(KmsWorkerOrder *order);

/*
 * Connect to the database, set the session up and enter the worker in the
 * shared state; ends the process if there is nothing to do for it.  The worker
 * is zero but for "reserved".
 */
extern void kms_worker_start(KmsWorker *worker, const KmsWorkerOrder *order);

/* End the process because there is nothing left to do for it. */
pg_noreturn extern void kms_worker_end(KmsWorker *worker);

/* Whether it has to leave at once, because its database is being dropped. */
extern bool kms_worker_must_leave(const KmsWorker *worker);

/* OID of the extension, or InvalidOid; in a transaction. */
extern Oid	kms_worker_extension(void);

/*
 * Tell that this database has the extension, or has not (and leave).  False:
 * it is beyond kms.max_databases, and is not to be served.
 */
extern bool kms_worker_present(KmsWorker *worker);
extern void kms_worker_absent(KmsWorker *worker);

/*
 * Run one round, whatever it raises: false with the error, the transaction
 * aborted and nothing logged.  Does not return when the process is told to
 * end, unless that is only noted (clean_stop.h).
 */
extern bool kms_worker_try(void (*round) (void *arg), void *arg,
						   KmsWorkerError *error);

/*
 * Keep the outcome of a round where kms_check() sees it; not in a transaction.
 */
extern void kms_worker_good(KmsWorker *worker);
extern void kms_worker_failed(KmsWorker *worker, const KmsWorkerError *error);

/* Name of the database, for messages; may not be called in a transaction. */
extern const char *kms_worker_database(void);

/* How many rounds have failed in a row. */
extern int	kms_worker_failures(const KmsWorker *worker);

/* Milliseconds to wait after so many failures in a row. */
extern long kms_worker_backoff(int failures);

/* Re-read the configuration if the server was told to. */
extern void kms_worker_reload(void);

extern void kms_worker_begin(const char *activity);
extern void kms_worker_commit(void);

#endif							/* KMS_WORKER_WORKER_H */
