/*
 * Makes the workers leave a database that is dropped, copied, renamed or
 * moved.
 */
#ifndef KMS_WORKER_DROP_GUARD_H
#define KMS_WORKER_DROP_GUARD_H

/* From _PG_init while preloading, after kms_shared_install: sets hooks. */
extern void kms_drop_guard_install(void);

#endif							/* KMS_WORKER_DROP_GUARD_H */
