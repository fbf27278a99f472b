/*
 * Makes the workers leave a database that is being dropped, copied, renamed or
 * moved.  docs/design/workers.md describes the protocol.
 */
#ifndef KMS_WORKER_DROP_GUARD_H
#define KMS_WORKER_DROP_GUARD_H

/*
 * Install the hooks.  Call it from _PG_init while preloading, after
 * kms_shared_install.
 */
extern void kms_drop_guard_install(void);

#endif							/* KMS_WORKER_DROP_GUARD_H */
