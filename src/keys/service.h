/*
 * Whether the service works in this session and database.
 */
#ifndef KMS_KEYS_SERVICE_H
#define KMS_KEYS_SERVICE_H

/*
 * From _PG_init while preloading: run the self-test, because a library that
 * gets a known answer wrong must not serve.
 */
extern void kms_service_install(void);

/*
 * Raise unless the library was preloaded, the database is among
 * kms.max_databases and the extension is there: 55000, 53400, 0A000 for a
 * replication connection, 38000 after a failed self-test.
 */
extern void kms_service_require(void);

/* The same in a database without a place: for kms_check(). */
extern void kms_service_require_library(void);

#endif							/* KMS_KEYS_SERVICE_H */
