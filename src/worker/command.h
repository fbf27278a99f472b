/*
 * A program that the launcher runs beside its other work, which is
 * kms.master_key_command.
 *
 * There is one at a time, and nothing here waits.
 */
#ifndef KMS_WORKER_COMMAND_H
#define KMS_WORKER_COMMAND_H

#define KMS_COMMAND_OUTPUT_MAX	(64 * 1024) /* bytes */

typedef enum KmsCommandState
{
	KMS_COMMAND_NONE,			/* one may be started */
	KMS_COMMAND_RUNNING,		/* ask again soon */
	KMS_COMMAND_ENDED,			/* its result is there, until it is forgotten */
	KMS_COMMAND_LEAVING			/* it is being killed; ask again, for some
								 * seconds */
} KmsCommandState;

/*
 * Start "/bin/sh -c command", which must end within "timeout" milliseconds.
 * The state must be KMS_COMMAND_NONE.  False: it could not be started, with
 * the reason.
 */
extern bool kms_command_start(const char *command, int timeout,
							  char *reason, size_t reason_size);

/*
 * Take what it has printed and see whether it has ended.  What it says on its
 * standard error is logged, bounded and without what looks like a key.  Should
 * that raise, ask again.
 */
extern KmsCommandState kms_command_poll(void);

/*
 * Of the one that has ended: true if it did with exit code 0 and printed
 * something, which is *output, *len bytes, until it is forgotten; else false
 * with the reason.  Raises nothing.
 */
extern bool kms_command_result(const char **output, size_t *len,
							   char *reason, size_t reason_size);

/*
 * Have it killed with all of its process group if it still runs, and wipe what
 * it has printed.  Raises nothing.  What cannot be killed is left alone, which
 * the log says.
 */
extern void kms_command_forget(void);

#endif							/* KMS_WORKER_COMMAND_H */
