/*
 * Keeping other processes of the server's user away from this one's memory.
 */
#ifndef KMS_PG_PROTECT_H
#define KMS_PG_PROTECT_H

/* From _PG_init while preloading: sessions are protected from their start. */
extern void kms_protect_install(void);

/*
 * This process can be neither dumped nor traced by its own user from now on,
 * unless kms.protect_memory is off.
 */
extern void kms_protect_process(void);

#endif							/* KMS_PG_PROTECT_H */
