/*
 * The writer of a database: drains its event ring and its outbox into the
 * trail.
 */
#ifndef KMS_WORKER_WRITER_H
#define KMS_WORKER_WRITER_H

extern PGDLLEXPORT void kms_writer_main(Datum arg);

#endif							/* KMS_WORKER_WRITER_H */
