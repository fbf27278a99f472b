/*
 * The maintenance worker of a database: short-lived, runs batches of
 * keys/maintenance until nothing is left.
 */
#ifndef KMS_WORKER_MAINTENANCE_H
#define KMS_WORKER_MAINTENANCE_H

extern PGDLLEXPORT void kms_maintenance_main(Datum arg);

#endif							/* KMS_WORKER_MAINTENANCE_H */
