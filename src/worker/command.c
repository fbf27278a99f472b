/*
 * The launcher's side of a command: start a supervisor, read what the command
 * prints, and take the report of how it ended.
 *
 * Only the launcher has its ends of the pipes and the buffer for the output.
 * The buffer is static, so that an error cannot lose it.  It is wiped when the
 * command is forgotten: after the result has been taken, at a reload, and at
 * exit.
 *
 * docs/design/decisions.md says why there is a supervisor, and how it ends the
 * command.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/pg_shmem.h"
#include "utils/ps_status.h"

#include "worker/command.h"

#include "crypto/mask.h"
#include "worker/supervisor.h"

#define ERRORS_MAX		8192	/* characters of standard error that are
								 * logged */
#define LINES_MAX		200		/* lines of standard error that are logged */
#define PIECE_SIZE		4096	/* bytes of standard error read at once */
#define PIECES_AT_ONCE	16		/* pieces read in one poll */
#define EXIT_WAIT_MS	1000	/* longest wait for the supervisor at exit */

typedef enum Outcome
{
	OUTCOME_NONE,				/* not yet known */
	OUTCOME_EXIT,				/* it ended by itself or by another's signal */
	OUTCOME_LATE,				/* it was killed at the deadline */
	OUTCOME_TOO_MUCH			/* it printed more than the buffer holds */
} Outcome;

static struct
{
	pid_t		pid;			/* of the supervisor, or 0 */
	bool		told;			/* told to end; later reports do not count */
	Outcome		outcome;
	KmsSupervisorReport report;
	KmsSupervisorEnds ends;
	instr_time	start;
	int			timeout;		/* milliseconds */
	size_t		len;
	char		buffer[KMS_COMMAND_OUTPUT_MAX + 1];
	char		piece[PIECE_SIZE];	/* of standard error */
	KmsMask		mask;
	int			lines;			/* of standard error, logged or left out */
}			running = {

	.ends = KMS_SUPERVISOR_NO_ENDS
};

static bool open_ends(KmsSupervisorEnds *ours, KmsSupervisorEnds *theirs);
static bool open_pipe(int *read_end, int *write_end);
static bool open_lifeline(int *our_end, int *their_end);
static void close_ends(KmsSupervisorEnds *ends);
static void let_go_of_server(void);
static bool receive_report(void);
static bool is_late(void);
static void take_output(void);
static void take_errors(void);
static void log_line(const char *line);
static void log_left(void);
static void end_with(Outcome outcome);
static void end_supervisor(void);
static void reap_supervisor(void);
static void reap_strays(void);
static void forget_at_exit(int code, Datum arg);

bool
kms_command_start(const char *command, int timeout,
				  char *reason, size_t reason_size)
{
	static bool registered = false;
	KmsSupervisorEnds ours = KMS_SUPERVISOR_NO_ENDS;
	KmsSupervisorEnds theirs = KMS_SUPERVISOR_NO_ENDS;
	pid_t		pid = -1;

	Assert(running.pid == 0 && running.outcome == OUTCOME_NONE);
	if (!registered)
	{
		(void) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		before_shmem_exit(forget_at_exit, (Datum) 0);
		registered = true;
	}

	if (open_ends(&ours, &theirs))
		pid = kms_supervisor_start(command, &theirs, let_go_of_server);
	if (pid > 0)
	{
		running.pid = pid;
		running.told = false;
		memset(&running.report, 0, sizeof(running.report));
		running.ends = ours;
		running.timeout = timeout;
		INSTR_TIME_SET_CURRENT(running.start);
		kms_mask_begin(&running.mask, ERRORS_MAX);
		running.lines = 0;
	}
	else
	{
		snprintf(reason, reason_size, "the command cannot be started: %s",
				 strerror(errno));
		close_ends(&ours);
	}
	close_ends(&theirs);
	return pid > 0;
}

KmsCommandPhase
kms_command_poll(void)
{
	bool		exited;

	if (running.outcome != OUTCOME_NONE)
		return KMS_COMMAND_ENDED;
	if (running.told)
		reap_supervisor();
	if (running.pid == 0)
	{
		reap_strays();
		if (running.report.left)
			log_left();
		return KMS_COMMAND_NONE;
	}
	if (running.told)
		return KMS_COMMAND_LEAVING;

	/*
	 * Receive the report first: then all that the command wrote before it
	 * ended is in the pipes.
	 */
	exited = receive_report();
	take_output();
	take_errors();
	if (running.len > KMS_COMMAND_OUTPUT_MAX)
		end_with(OUTCOME_TOO_MUCH);
	else if (exited)
		end_with(OUTCOME_EXIT);
	else if (is_late())
		end_with(OUTCOME_LATE);
	else
		return KMS_COMMAND_RUNNING;
	return KMS_COMMAND_ENDED;
}

bool
kms_command_result(const char **output, size_t *len,
				   char *reason, size_t reason_size)
{
	bool		good = false;

	*output = NULL;
	*len = 0;
	if (running.outcome == OUTCOME_TOO_MUCH)
		snprintf(reason, reason_size, "the command printed more than 64 kB");
	else if (running.outcome == OUTCOME_LATE && running.timeout % 1000 == 0)
		snprintf(reason, reason_size, "the command did not end within %d s",
				 running.timeout / 1000);
	else if (running.outcome == OUTCOME_LATE)
		snprintf(reason, reason_size, "the command did not end within %d ms",
				 running.timeout);
	else if (running.report.error != 0)
		snprintf(reason, reason_size, "the command cannot be started: %s",
				 strerror(running.report.error));
	else if (!running.report.waited)
		snprintf(reason, reason_size, "the exit status of the command is not known");
	else if (WIFSIGNALED(running.report.status))
		snprintf(reason, reason_size,
				 "the command was ended by signal %d; the server log has its error output",
				 WTERMSIG(running.report.status));
	else if (WEXITSTATUS(running.report.status) != 0)
		snprintf(reason, reason_size,
				 "the command ended with exit code %d; the server log has its error output",
				 WEXITSTATUS(running.report.status));
	else if (running.len == 0)
		snprintf(reason, reason_size, "the command printed nothing");
	else
	{
		*output = running.buffer;
		*len = running.len;
		good = true;
	}
	return good;
}

void
kms_command_forget(void)
{
	end_supervisor();
	running.outcome = OUTCOME_NONE;
	explicit_bzero(running.buffer, sizeof(running.buffer));
	explicit_bzero(running.piece, sizeof(running.piece));
	explicit_bzero(&running.mask, sizeof(running.mask));
	running.len = 0;
}

static bool
open_ends(KmsSupervisorEnds *ours, KmsSupervisorEnds *theirs)
{
	theirs->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return theirs->null >= 0 &&
		open_pipe(&ours->output, &theirs->output) &&
		open_pipe(&ours->errors, &theirs->errors) &&
		open_lifeline(&ours->lifeline, &theirs->lifeline);
}

/*
 * Our end does not block.  The command's end does, because programs expect
 * that.
 */
static bool
open_pipe(int *read_end, int *write_end)
{
	int			ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	*read_end = ends[0];
	*write_end = ends[1];
	return fcntl(*read_end, F_SETFL, O_NONBLOCK) == 0;
}

static bool
open_lifeline(int *our_end, int *their_end)
{
	int			ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return false;
	*our_end = ends[0];
	*their_end = ends[1];
	return fcntl(*our_end, F_SETFL, O_NONBLOCK) == 0;
}

static void
close_ends(KmsSupervisorEnds *ends)
{
	kms_supervisor_close(&ends->lifeline);
	kms_supervisor_close(&ends->null);
	kms_supervisor_close(&ends->output);
	kms_supervisor_close(&ends->errors);
}

/*
 * Runs in the supervisor: set its name in the process list, and detach the
 * server's shared memory, so that a server that starts in the meantime does
 * not find it in use.
 */
static void
let_go_of_server(void)
{
	set_ps_display("command");
	PGSharedMemoryDetach();
}

/* Return true if the shell has ended, or no further report will come. */
static bool
receive_report(void)
{
	KmsSupervisorReport report;
	ssize_t		n;

	while ((n = recv(running.ends.lifeline, &report, sizeof(report),
					 0)) == sizeof(report))
		running.report = report;
	return running.report.error != 0 || running.report.waited ||
		(n < 0 ? errno != EAGAIN && errno != EINTR : true);
}

static bool
is_late(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, running.start);
	return INSTR_TIME_GET_MILLISEC(now) > running.timeout;
}

static void
take_output(void)
{
	while (running.len < sizeof(running.buffer))
	{
		ssize_t		n = read(running.ends.output, running.buffer + running.len,
							 sizeof(running.buffer) - running.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		running.len += (size_t) n;
	}
}

static void
take_errors(void)
{
	int			i;

	for (i = 0; i < PIECES_AT_ONCE; i++)
	{
		ssize_t		n = read(running.ends.errors, running.piece, sizeof(running.piece));
		size_t		taken;
		size_t		used;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		for (taken = 0; taken < (size_t) n; taken += used)
		{
			if (kms_mask_take(&running.mask, running.piece + taken,
							  (size_t) n - taken, &used) &&
				running.lines++ < LINES_MAX)
				log_line(running.mask.line);
		}
	}
}

static void
log_line(const char *line)
{
	ereport(LOG,
			(errmsg("kms.master_key_command: %s", line),
			 errhidestmt(true),
			 errhidecontext(true)));
}

static void
log_left(void)
{
	running.report.left = false;
	ereport(LOG,
			(errmsg("a program that kms.master_key_command started runs as another user or does not end, and was left alone"),
			 errhint("Find it in the process list. The command should end every process that it starts."),
			 errhidestmt(true),
			 errhidecontext(true)));
}

/* Set the outcome before logging, because logging may raise an error. */
static void
end_with(Outcome outcome)
{
	end_supervisor();
	running.outcome = outcome;
	if (kms_mask_end(&running.mask))
		log_line(running.mask.line);
	if (running.mask.cut || running.lines > LINES_MAX)
		log_line("(the rest is left out)");
}

static void
end_supervisor(void)
{
	if (running.pid > 0 && !running.told)
		(void) shutdown(running.ends.lifeline, SHUT_WR);
	running.told = true;
	kms_supervisor_close(&running.ends.output);
	kms_supervisor_close(&running.ends.errors);
	reap_supervisor();
}

/* The last report is complete when the supervisor has ended. */
static void
reap_supervisor(void)
{
	while (running.pid > 0)
	{
		pid_t		pid = waitpid(running.pid, NULL, WNOHANG);

		if (pid == 0)
			return;
		if (pid > 0 || errno != EINTR)
		{
			(void) receive_report();
			kms_supervisor_close(&running.ends.lifeline);
			running.pid = 0;
		}
	}
}

/*
 * Reap programs that left the command's process group.  The supervisor, the
 * only other child, must have been reaped.
 */
static void
reap_strays(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void
forget_at_exit(int code, Datum arg)
{
	int			i;

	kms_command_forget();
	for (i = 0; running.pid != 0 && i < EXIT_WAIT_MS; i++)
	{
		pg_usleep(1000);
		reap_supervisor();
	}
	reap_strays();
}
