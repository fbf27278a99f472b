/*
 * The writer of a database: drains its event ring and its outbox into the
 * trail.
 */
#ifndef KMS_WORKER_WRITER_H
#define KMS_WORKER_WRITER_H

#include "worker/worker.h"

extern PGDLLEXPORT void kms_writer_main(Datum arg);

/* Write the events of a database, and end the process. */
pg_noreturn extern void kms_writer_serve(const KmsWorkerOrder *order,
										 bool reserved);

#endif							/* KMS_WORKER_WRITER_H */
