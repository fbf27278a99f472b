/*
 * DISCARD ALL closes the private keys that a session keeps open.
 */
#ifndef KMS_API_DISCARD_H
#define KMS_API_DISCARD_H

/* Install the hook.  Call it from _PG_init while preloading. */
extern void kms_discard_install(void);

#endif							/* KMS_API_DISCARD_H */
