/* Waiting until all recorded events are in the tables. */
#ifndef KMS_KEYS_FLUSH_H
#define KMS_KEYS_FLUSH_H

/*
 * Wait as long as the writer makes progress.  The wait can be cancelled.
 * Raise 55000 on a standby, and if the writer cannot write.
 */
extern void kms_flush_events(void);

#endif							/* KMS_KEYS_FLUSH_H */
