/*
 * The source of the master keys: kms.master_key_file or
 * kms.master_key_command.  Only the launcher calls these functions.
 */
#ifndef KMS_WORKER_KEY_SOURCE_H
#define KMS_WORKER_KEY_SOURCE_H

/*
 * Call at the launcher's start and at each reload: read the file and publish
 * its keys, or schedule the command.  A command that still runs is killed.
 */
extern void kms_key_source_read(void);

/*
 * Call in each round of the launcher: continue with the command, and publish
 * the keys that it printed.  Return true if it should be called again soon.
 * Never waits.
 */
extern bool kms_key_source_poll(void);

#endif							/* KMS_WORKER_KEY_SOURCE_H */
