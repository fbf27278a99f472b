/*
 * Where the master keys come from: kms.master_key_file or
 * kms.master_key_command.
 */
#ifndef KMS_WORKER_KEY_SOURCE_H
#define KMS_WORKER_KEY_SOURCE_H

/*
 * The launcher's, at its start and at each reload: read the file and publish
 * it, or have the command run; one that still runs is killed.
 */
extern void kms_key_source_read(void);

/*
 * The launcher's, in each round: go on with the command, and publish what it
 * printed.  Whether it wants to be called again soon; never waits.
 */
extern bool kms_key_source_poll(void);

#endif							/* KMS_WORKER_KEY_SOURCE_H */
