/*
 * The writer of a database: drains its event ring and its outbox into the
 * trail.
 */
#ifndef KMS_WORKER_WRITER_H
#define KMS_WORKER_WRITER_H

#include "worker/worker.h"

extern PGDLLEXPORT void kms_writer_main(Datum arg);

/*
 * Write the events of a database, and end the process.  "reserved" is NULL
 * unless the process is a reserved writer.
 */
pg_noreturn extern void kms_writer_serve(const KmsWorkerOrder *order,
										 KmsReserved *reserved);

#endif							/* KMS_WORKER_WRITER_H */
