/*
 * The maintenance worker of a database.  It runs batches of keys/maintain.c
 * until nothing is left, and leaves.
 */
#ifndef KMS_WORKER_MAINTENANCE_H
#define KMS_WORKER_MAINTENANCE_H

extern PGDLLEXPORT void kms_maintenance_main(Datum arg);

#endif							/* KMS_WORKER_MAINTENANCE_H */
