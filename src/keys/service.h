/* Whether kms can be used in this session and database. */
#ifndef KMS_KEYS_SERVICE_H
#define KMS_KEYS_SERVICE_H

/*
 * Run the self-test, because a library that gets a known answer wrong must not
 * be used.  Called from _PG_init while preloading.
 */
extern void kms_service_install(void);

/*
 * Raise an error unless the library was preloaded, the database is among
 * kms.max_databases and the extension exists: 55000, 53400; 0A000 for a
 * replication connection; 38000 after a failed self-test.
 */
extern void kms_service_require(void);

/* Do the same, but accept a database without a place.  For kms_check(). */
extern void kms_service_require_library(void);

#endif							/* KMS_KEYS_SERVICE_H */
