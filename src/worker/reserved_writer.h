/*
 * Writers that hold a background worker slot from the start of the server, so
 * that a database with waiting callers gets a writer even if other processes
 * have all other slots.  docs/design/workers.md describes them.
 */
#ifndef KMS_WORKER_RESERVED_WRITER_H
#define KMS_WORKER_RESERVED_WRITER_H

/*
 * Register the reserved writers.  Call it from _PG_init while preloading,
 * after the launcher has been registered.
 */
extern void kms_reserved_writer_install(void);

/* Return how many are registered; some may have found no slot. */
extern int	kms_reserved_writer_count(void);

/* Return true if a reserved writer is idle. */
extern bool kms_reserved_writer_waits(void);

/*
 * Assign the database to an idle reserved writer.  Return its number, and its
 * process id in *pid, or return -1 if none is idle.
 */
extern int	kms_reserved_writer_assign(Oid database_oid, int *pid);

/* Return true if that process has ended. */
extern bool kms_reserved_writer_ended(int number, int pid);

/* Return true if a reserved writer has been assigned to the database. */
extern bool kms_reserved_writer_serves(Oid database_oid);

extern PGDLLEXPORT void kms_reserved_writer_main(Datum arg);

#endif							/* KMS_WORKER_RESERVED_WRITER_H */
