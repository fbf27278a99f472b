/*
 * Writers that hold a background worker slot from the start of the server, so
 * that a database with waiting callers gets one whatever takes the other slots.
 */
#ifndef KMS_WORKER_RESERVED_WRITER_H
#define KMS_WORKER_RESERVED_WRITER_H

/* From _PG_init while preloading, after the launcher has been registered. */
extern void kms_reserved_writer_install(void);

/* How many there are; some may have found no slot. */
extern int	kms_reserved_writer_count(void);

/* Whether one waits for a database to serve. */
extern bool kms_reserved_writer_waits(void);

/*
 * Let one that waits serve a database.  Return its number, and the id of its
 * process in *pid; -1: none waits.
 */
extern int	kms_reserved_writer_assign(Oid database_oid, int *pid);

/* Whether that process has ended. */
extern bool kms_reserved_writer_ended(int number, int pid);

/* Whether one has been told to serve that database. */
extern bool kms_reserved_writer_serves(Oid database_oid);

extern PGDLLEXPORT void kms_reserved_writer_main(Datum arg);

#endif							/* KMS_WORKER_RESERVED_WRITER_H */
