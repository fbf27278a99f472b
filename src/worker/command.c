/*
 * A program that the launcher runs beside its other work.
 *
 * Between the launcher and the shell stands a process of ours, the supervisor,
 * which is forked and executes nothing.  It has the shell for its child, ends
 * it, and tells the launcher how it ended.  The two have the ends of a socket,
 * the lifeline.  When the launcher closes its direction, which it does at the
 * deadline, at a reload and when it exits (before_shmem_exit, so also on
 * FATAL), or when the kernel does because the launcher was killed, the
 * supervisor ends the shell with all of its process group.
 *
 * The launcher alone could not do that: where it is killed, by SIGQUIT or
 * SIGKILL, what the shell has started would become children of process 1.  In
 * a container that is often the postmaster, which restarts the whole server
 * when a child that it does not know ends by a signal, as one does whose
 * reader is gone.  So the supervisor is a subreaper, waits for them itself,
 * and leaves with exit code 0, which the postmaster does not mind.
 *
 * The supervisor leads a process group of its own and has all signals blocked,
 * so that the postmaster's signals do not end it.  It has let go of
 * PostgreSQL's shared memory and of all files of the server: one that is
 * started anew meanwhile does not find them in use.  It never goes back to
 * PostgreSQL's loop or error handling.
 *
 * The shell leads another group.  It has /dev/null, the two pipes and no other
 * descriptor of ours, and signal handlers and mask as a program expects them.
 * Should the supervisor be killed, the kernel kills the shell, and that alone
 * (PR_SET_PDEATHSIG).
 *
 * The group is killed once, and before the shell is waited for: until then its
 * id cannot be another's.  What runs as another user (sudo) cannot be killed,
 * so the supervisor waits for the group a little and then leaves it alone.
 *
 * What has left the group becomes a child of the launcher in the end, which is
 * a subreaper, too, and else of process 1.
 *
 * The launcher owns its ends of the pipes and the buffer for what the program
 * prints; no other process has any of them.  The buffer is static, so that an
 * error cannot lose it, and is wiped when the result has been taken, when the
 * program is ended, and at exit.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
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

#define ERRORS_MAX		8192	/* characters of its standard error, logged */
#define LINES_MAX		200		/* of them, each as long as its prefix at
								 * least */
#define PIECE_SIZE		4096
#define PIECES_AT_ONCE	16		/* taken in a poll, of what it says */
#define EXIT_WAIT_MS	1000	/* of the launcher, for the supervisor */
#define GROUP_WAIT_MS	2000	/* of the supervisor, for what it has killed */

typedef enum Outcome
{
	OUTCOME_NONE,				/* there is none yet */
	OUTCOME_EXIT,				/* by itself, or by somebody else's signal */
	OUTCOME_LATE,
	OUTCOME_TOO_MUCH
} Outcome;

/* Descriptors, of the one side or the other; -1: closed. */
typedef struct Ends
{
	int			lifeline;
	int			null;			/* the program's only */
	int			output;
	int			errors;
} Ends;

#define NO_ENDS {.lifeline = -1, .null = -1, .output = -1, .errors = -1}

/* What the supervisor says; the last word counts. */
typedef struct Report
{
	int			error;			/* errno, if the shell could not be started */
	bool		waited;			/* "status" is there, as wait() gives it */
	int			status;
	bool		left;			/* not all of the group has ended */
} Report;

static struct
{
	pid_t		pid;			/* of the supervisor; 0: there is none */
	bool		told;			/* to end; nothing more is wanted of it */
	Outcome		outcome;
	Report		report;
	Ends		ends;
	instr_time	start;
	int			timeout;		/* milliseconds */
	size_t		len;
	char		buffer[KMS_COMMAND_OUTPUT_MAX + 1];
	char		piece[PIECE_SIZE];	/* of its standard error */
	KmsMask		mask;
	int			lines;			/* logged, or left out */
}			child = {

	.ends = NO_ENDS
};

static bool open_ends(Ends *ours, Ends *theirs);
static bool open_pipe(int *read_end, int *write_end);
static bool open_lifeline(int *our_end, int *their_end);
static void close_ends(Ends *ends);
static void close_end(int *end);
static pid_t start(const char *command, Ends *ends);
static void supervise(const char *command, Ends *ends)
			__attribute__((noreturn));
static bool close_others(const Ends *ends);
static void wake_up(int signal_number);
static void become(const char *command, pid_t parent, const Ends *ends)
			__attribute__((noreturn));
static void see_through(pid_t shell, int lifeline, Report *report);
static bool has_exited(pid_t shell);
static bool reap_group(pid_t shell, Report *report);
static void say(int lifeline, const Report *report);
static bool hear(void);
static bool is_late(void);
static void take_output(void);
static void take_errors(void);
static void log_line(const char *line);
static void log_left(void);
static void finish(Outcome outcome);
static void leave(void);
static void reap(void);
static void reap_strays(void);
static void forget_at_exit(int code, Datum arg);

bool
kms_command_start(const char *command, int timeout,
				  char *reason, size_t reason_size)
{
	static bool registered = false;
	Ends		ours = NO_ENDS;
	Ends		theirs = NO_ENDS;
	pid_t		pid = -1;

	Assert(child.pid == 0 && child.outcome == OUTCOME_NONE);
	if (!registered)
	{
		(void) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		before_shmem_exit(forget_at_exit, (Datum) 0);
		registered = true;
	}

	if (open_ends(&ours, &theirs))
		pid = start(command, &theirs);
	if (pid > 0)
	{
		child.pid = pid;
		child.told = false;
		memset(&child.report, 0, sizeof(child.report));
		child.ends = ours;
		child.timeout = timeout;
		INSTR_TIME_SET_CURRENT(child.start);
		kms_mask_begin(&child.mask, ERRORS_MAX);
		child.lines = 0;
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

KmsCommandState
kms_command_poll(void)
{
	bool		exited;

	if (child.outcome != OUTCOME_NONE)
		return KMS_COMMAND_ENDED;
	if (child.told)
		reap();
	if (child.pid == 0)
	{
		reap_strays();
		if (child.report.left)
			log_left();
		return KMS_COMMAND_NONE;
	}
	if (child.told)
		return KMS_COMMAND_LEAVING;

	/* heard first: what it wrote before is in the pipes */
	exited = hear();
	take_output();
	take_errors();
	if (child.len > KMS_COMMAND_OUTPUT_MAX)
		finish(OUTCOME_TOO_MUCH);
	else if (exited)
		finish(OUTCOME_EXIT);
	else if (is_late())
		finish(OUTCOME_LATE);
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
	if (child.outcome == OUTCOME_TOO_MUCH)
		snprintf(reason, reason_size, "the command printed more than 64 kB");
	else if (child.outcome == OUTCOME_LATE && child.timeout % 1000 == 0)
		snprintf(reason, reason_size, "the command did not end within %d s",
				 child.timeout / 1000);
	else if (child.outcome == OUTCOME_LATE)
		snprintf(reason, reason_size, "the command did not end within %d ms",
				 child.timeout);
	else if (child.report.error != 0)
		snprintf(reason, reason_size, "the command cannot be started: %s",
				 strerror(child.report.error));
	else if (!child.report.waited)
		snprintf(reason, reason_size, "how the command ended is not known");
	else if (WIFSIGNALED(child.report.status))
		snprintf(reason, reason_size,
				 "the command was ended by signal %d; the server log has what it said",
				 WTERMSIG(child.report.status));
	else if (WEXITSTATUS(child.report.status) != 0)
		snprintf(reason, reason_size,
				 "the command ended with exit code %d; the server log has what it said",
				 WEXITSTATUS(child.report.status));
	else if (child.len == 0)
		snprintf(reason, reason_size, "the command printed nothing");
	else
	{
		*output = child.buffer;
		*len = child.len;
		good = true;
	}
	return good;
}

void
kms_command_forget(void)
{
	leave();
	child.outcome = OUTCOME_NONE;
	explicit_bzero(child.buffer, sizeof(child.buffer));
	explicit_bzero(child.piece, sizeof(child.piece));
	explicit_bzero(&child.mask, sizeof(child.mask));
	child.len = 0;
}

static bool
open_ends(Ends *ours, Ends *theirs)
{
	theirs->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return theirs->null >= 0 &&
		open_pipe(&ours->output, &theirs->output) &&
		open_pipe(&ours->errors, &theirs->errors) &&
		open_lifeline(&ours->lifeline, &theirs->lifeline);
}

/* Only our end does not block: the program's is as it expects it. */
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
close_ends(Ends *ends)
{
	close_end(&ends->lifeline);
	close_end(&ends->null);
	close_end(&ends->output);
	close_end(&ends->errors);
}

/* Leaves errno. */
static void
close_end(int *end)
{
	int			error = errno;

	if (*end >= 0)
		close(*end);
	*end = -1;
	errno = error;
}

/* None of our handlers may run in the child. */
static pid_t
start(const char *command, Ends *ends)
{
	sigset_t	all;
	sigset_t	before;
	pid_t		pid;
	int			error;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		supervise(command, ends);
	error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return pid;
}

/* All of the supervisor's life. */
static void
supervise(const char *command, Ends *ends)
{
	Report		report = {0};
	pid_t		self = getpid();
	pid_t		shell = -1;
	int			i;

	(void) setpgid(0, 0);
	for (i = 1; i < NSIG; i++)
		(void) signal(i, SIG_DFL);
	(void) signal(SIGCHLD, wake_up);
	set_ps_display("command");
	PGSharedMemoryDetach();

	if (close_others(ends) &&
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
		shell = fork();
	if (shell == 0)
		become(command, self, ends);
	if (shell < 0)
		report.error = errno;
	close_end(&ends->null);
	close_end(&ends->output);
	close_end(&ends->errors);
	if (shell > 0)
		see_through(shell, ends->lifeline, &report);
	say(ends->lifeline, &report);
	_exit(0);
}

/* Those of the server, whoever has opened them and how. */
static bool
close_others(const Ends *ends)
{
	DIR		   *directory = opendir("/proc/self/fd");
	struct dirent *entry;

	if (directory == NULL)
		return false;
	while ((entry = readdir(directory)) != NULL)
	{
		int			fd = atoi(entry->d_name);

		if (fd != dirfd(directory) && fd != ends->lifeline &&
			fd != ends->null && fd != ends->output && fd != ends->errors)
			close(fd);
	}
	closedir(directory);
	return true;
}

/* For ppoll() to be interrupted. */
static void
wake_up(int signal_number)
{
}

static void
become(const char *command, pid_t parent, const Ends *ends)
{
	sigset_t	none;
	char		line[256];
	ssize_t		written;

	/* both do it, so that there is a group for each of them from here on */
	(void) setpgid(0, 0);
	(void) signal(SIGCHLD, SIG_DFL);
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(127);
	if (dup2(ends->null, STDIN_FILENO) >= 0 &&
		dup2(ends->output, STDOUT_FILENO) >= 0 &&
		dup2(ends->errors, STDERR_FILENO) >= 0)
	{
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl("/bin/sh", "sh", "-c", command, (char *) NULL);
	}
	snprintf(line, sizeof(line), "/bin/sh cannot be executed: %s\n",
			 strerror(errno));
	written = write(ends->errors, line, strlen(line));
	(void) written;
	_exit(127);
}

/* How it ended is said at once: the rest of its group may take longer. */
static void
see_through(pid_t shell, int lifeline, Report *report)
{
	struct pollfd told = {.fd = lifeline,.events = POLLIN};
	sigset_t	mask;
	int			i;

	(void) setpgid(shell, shell);
	sigfillset(&mask);
	sigdelset(&mask, SIGCHLD);
	while (!has_exited(shell) && ppoll(&told, 1, NULL, &mask) <= 0)
		;
	(void) kill(-shell, SIGKILL);
	report->left = !reap_group(shell, report);
	if (report->left && report->waited)
		say(lifeline, report);
	for (i = 0; report->left && i < GROUP_WAIT_MS; i++)
	{
		pg_usleep(1000);
		report->left = !reap_group(shell, report);
	}
	reap_strays();
}

/* It stays to be waited for. */
static bool
has_exited(pid_t shell)
{
	siginfo_t	info;

	info.si_pid = 0;
	return waitid(P_PID, (id_t) shell, &info,
				  WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* False: some have not ended. */
static bool
reap_group(pid_t shell, Report *report)
{
	for (;;)
	{
		int			status;
		pid_t		pid = waitpid(-shell, &status, WNOHANG);

		if (pid == shell)
		{
			report->status = status;
			report->waited = true;
		}
		else if (pid == 0)
			return false;
		else if (pid < 0 && errno != EINTR)
			return true;
	}
}

static void
say(int lifeline, const Report *report)
{
	(void) send(lifeline, report, sizeof(*report), MSG_NOSIGNAL);
}

/* True: the shell has ended, or nothing will be heard of it any more. */
static bool
hear(void)
{
	Report		report;
	ssize_t		n;

	while ((n = recv(child.ends.lifeline, &report, sizeof(report),
					 0)) == sizeof(report))
		child.report = report;
	return child.report.error != 0 || child.report.waited ||
		(n < 0 ? errno != EAGAIN && errno != EINTR : true);
}

static bool
is_late(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, child.start);
	return INSTR_TIME_GET_MILLISEC(now) > child.timeout;
}

static void
take_output(void)
{
	while (child.len < sizeof(child.buffer))
	{
		ssize_t		n = read(child.ends.output, child.buffer + child.len,
							 sizeof(child.buffer) - child.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		child.len += (size_t) n;
	}
}

static void
take_errors(void)
{
	int			i;

	for (i = 0; i < PIECES_AT_ONCE; i++)
	{
		ssize_t		n = read(child.ends.errors, child.piece, sizeof(child.piece));
		size_t		taken;
		size_t		used;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		for (taken = 0; taken < (size_t) n; taken += used)
		{
			if (kms_mask_take(&child.mask, child.piece + taken,
							  (size_t) n - taken, &used) &&
				child.lines++ < LINES_MAX)
				log_line(child.mask.line);
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
	child.report.left = false;
	ereport(LOG,
			(errmsg("a program that kms.master_key_command started runs as another user or does not end, and was left alone"),
			 errhint("Look for it in the process list; the command should end all that it starts."),
			 errhidestmt(true),
			 errhidecontext(true)));
}

/* The outcome is there before anything is logged, as that may raise. */
static void
finish(Outcome outcome)
{
	leave();
	child.outcome = outcome;
	if (kms_mask_end(&child.mask))
		log_line(child.mask.line);
	if (child.mask.cut || child.lines > LINES_MAX)
		log_line("(the rest is left out)");
}

static void
leave(void)
{
	if (child.pid > 0 && !child.told)
		(void) shutdown(child.ends.lifeline, SHUT_WR);
	child.told = true;
	close_end(&child.ends.output);
	close_end(&child.ends.errors);
	reap();
}

/* Its last word is there when it has ended. */
static void
reap(void)
{
	while (child.pid > 0)
	{
		pid_t		pid = waitpid(child.pid, NULL, WNOHANG);

		if (pid == 0)
			return;
		if (pid > 0 || errno != EINTR)
		{
			(void) hear();
			close_end(&child.ends.lifeline);
			child.pid = 0;
		}
	}
}

/* Those that left its group.  There are no other children then. */
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
	for (i = 0; child.pid != 0 && i < EXIT_WAIT_MS; i++)
	{
		pg_usleep(1000);
		reap();
	}
	reap_strays();
}
