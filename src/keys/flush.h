/*
 * Waiting until all that was recorded is in the tables.
 */
#ifndef KMS_KEYS_FLUSH_H
#define KMS_KEYS_FLUSH_H

/*
 * Wait as long as the writer gets on; cancellable.  Raises 55000 on a standby
 * and if the writer cannot write.
 */
extern void kms_flush_events(void);

#endif							/* KMS_KEYS_FLUSH_H */
