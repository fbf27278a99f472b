/*
 * The launcher: reads the master key and starts the workers of databases.
 */
#ifndef KMS_WORKER_LAUNCHER_H
#define KMS_WORKER_LAUNCHER_H

/*
 * Register the launcher and the reserved writers, and set the hooks of
 * drop_guard.h.  Call it from _PG_init while preloading, after
 * kms_shared_install and kms_master_install, but not if IsBinaryUpgrade is
 * set.
 */
extern void kms_launcher_install(void);

extern PGDLLEXPORT void kms_launcher_main(Datum arg);

#endif							/* KMS_WORKER_LAUNCHER_H */
