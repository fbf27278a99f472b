/*
 * The process between the launcher and the shell that runs
 * kms.master_key_command.  It ends the shell, and reports to the launcher how
 * the shell ended.
 *
 * The process runs after a fork and never calls exec, so neither this file nor
 * supervisor.c includes anything of PostgreSQL.  docs/design/decisions.md says
 * why there is such a process.
 */
#ifndef KMS_WORKER_SUPERVISOR_H
#define KMS_WORKER_SUPERVISOR_H

#include <stdbool.h>
#include <sys/types.h>

/* The descriptors of one of the two sides; -1 if closed. */
typedef struct KmsSupervisorEnds
{
	int			lifeline;		/* a socket; see below */
	int			null;			/* standard input of the command only */
	int			output;
	int			errors;
} KmsSupervisorEnds;

#define KMS_SUPERVISOR_NO_ENDS \
	{.lifeline = -1, .null = -1, .output = -1, .errors = -1}

/*
 * A report that the supervisor sends through the lifeline; the last one
 * counts.
 */
typedef struct KmsSupervisorReport
{
	int			error;			/* errno if the shell could not be started */
	bool		waited;			/* "status" is set, as wait() returns it */
	int			status;
	bool		left;			/* not all of the process group has ended */
} KmsSupervisorReport;

/*
 * Fork a supervisor that runs "/bin/sh -c command" with its side of the
 * descriptors.  Return its process id, or -1 with errno.
 *
 * The supervisor first calls let_go, with all signals blocked, to release what
 * the caller has in memory.  If the other side of the lifeline is closed or
 * shut down for writing, it kills the shell with all of its process group.
 * The supervisor exits with code 0 in any case.
 */
extern pid_t kms_supervisor_start(const char *command,
								  KmsSupervisorEnds *ends,
								  void (*let_go) (void));

/* Close a descriptor and set it to -1; leave errno as it is. */
extern void kms_supervisor_close(int *end);

#endif							/* KMS_WORKER_SUPERVISOR_H */
