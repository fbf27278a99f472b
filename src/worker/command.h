/*
 * A command that the launcher runs beside its other work:
 * kms.master_key_command.
 *
 * At most one runs at a time, and no function here waits.
 */
#ifndef KMS_WORKER_COMMAND_H
#define KMS_WORKER_COMMAND_H

#define KMS_COMMAND_OUTPUT_MAX	(64 * 1024) /* bytes */

typedef enum KmsCommandPhase
{
	KMS_COMMAND_NONE,			/* a command may be started */
	KMS_COMMAND_RUNNING,		/* poll again soon */
	KMS_COMMAND_ENDED,			/* its result can be taken until it is
								 * forgotten */
	KMS_COMMAND_LEAVING			/* it is being killed; poll again for some
								 * seconds */
} KmsCommandPhase;

/*
 * Start "/bin/sh -c command", which must end within "timeout" milliseconds.
 * The phase must be KMS_COMMAND_NONE.  Return false, with the reason, if it
 * could not be started.
 */
extern bool kms_command_start(const char *command, int timeout,
							  char *reason, size_t reason_size);

/*
 * Read what the command has printed, and return its phase.  The command's
 * standard error is logged, up to a limit and without anything that looks like
 * a key.  If logging raises an error, poll again.
 */
extern KmsCommandPhase kms_command_poll(void);

/*
 * Take the result of a command that has ended.
 *
 * If its exit code was 0 and it printed something, return true: *output has
 * *len bytes, valid until the command is forgotten.  Otherwise return false
 * with the reason.  Raises no error.
 */
extern bool kms_command_result(const char **output, size_t *len,
							   char *reason, size_t reason_size);

/*
 * Wipe what the command has printed.  If it is still running, have it killed
 * with all of its process group; a process that cannot be killed is left alone
 * and the log says so.  Raises no error.
 */
extern void kms_command_forget(void);

#endif							/* KMS_WORKER_COMMAND_H */
