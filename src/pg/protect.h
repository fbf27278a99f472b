/*
 * Protection of this process's memory from other processes of the server's
 * user.
 */
#ifndef KMS_PG_PROTECT_H
#define KMS_PG_PROTECT_H

/*
 * Have sessions protected from their start.  Call it from _PG_init while
 * preloading.
 */
extern void kms_protect_install(void);

/*
 * From now on, keep this process from being dumped or traced by its own user,
 * unless kms.protect_memory is off.
 */
extern void kms_protect_process(void);

#endif							/* KMS_PG_PROTECT_H */
