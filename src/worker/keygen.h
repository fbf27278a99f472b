/*
 * The workers that generate keys for the pool of a database.
 */
#ifndef KMS_WORKER_KEYGEN_H
#define KMS_WORKER_KEYGEN_H

extern PGDLLEXPORT void kms_keygen_main(Datum arg);

#endif							/* KMS_WORKER_KEYGEN_H */
