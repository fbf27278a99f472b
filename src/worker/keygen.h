/*
 * The workers that fill a database's pool of keys.
 */
#ifndef KMS_WORKER_KEYGEN_H
#define KMS_WORKER_KEYGEN_H

extern PGDLLEXPORT void kms_keygen_main(Datum arg);

#endif							/* KMS_WORKER_KEYGEN_H */
