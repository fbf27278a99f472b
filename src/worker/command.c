/*
 * A program that the launcher runs beside its other work.
 *
 * The launcher owns the process, the ends of two pipes, and the buffer for
 * what the process prints; no other process of the server has any of them.
 * The buffer is static, so that an error cannot lose it, and is wiped when
 * the result has been taken, when the process is killed, and at exit.
 *
 * The process gets /dev/null, two pipes, and no other descriptor of ours.
 * It leads a process group of its own, so that all that it has started can be
 * killed; the postmaster's signals, which go to our group, do not reach it.
 * Its signal handlers and its mask are as a program expects them.
 *
 * It is killed at its deadline, when a reload comes, and when the launcher
 * exits (before_shmem_exit, so also on FATAL).  Where there is no exit, on
 * SIGQUIT and SIGKILL, the kernel kills it: PR_SET_PDEATHSIG.  That is why it
 * is forked here and not spawned.  It reaches the shell only; what the shell
 * has started finds nobody who reads its output.
 *
 * A signal goes to it once, and before it is waited for: until then neither
 * its id nor that of its group can be another's.  So, when it has ended, first
 * the rest of its group is killed, and then all of them are waited for.
 *
 * What it leaves behind becomes a child of the launcher, which is a subreaper.
 * Else it would be the child of process 1, which in a container is often the
 * postmaster; and that restarts the whole server when a child that it does
 * not know is killed.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "portability/instr_time.h"
#include "storage/ipc.h"

#include "worker/command.h"

#include "crypto/mask.h"

#define ERRORS_MAX		8192	/* characters of its standard error, logged */
#define PIECE_SIZE		4096
#define PIECES_AT_ONCE	16		/* taken in a poll, of what it says */
#define EXIT_WAIT_MS	1000	/* for what was killed */
#define READ_END		0
#define WRITE_END		1

typedef enum Outcome
{
	OUTCOME_NONE,				/* there is none yet */
	OUTCOME_EXIT,				/* by itself, or by somebody else's signal */
	OUTCOME_LATE,
	OUTCOME_TOO_MUCH
} Outcome;

static struct
{
	pid_t		pid;			/* of the leader and of the group; 0: all of
								 * it has been waited for */
	bool		killed;			/* all of it; nothing more is wanted of it */
	Outcome		outcome;
	bool		waited;			/* "status" is there, as wait() gives it */
	int			status;
	int			output;			/* our ends of pipes; -1: closed */
	int			errors;
	instr_time	start;
	int			timeout;		/* milliseconds */
	size_t		len;
	char		buffer[KMS_COMMAND_OUTPUT_MAX + 1];
	char		piece[PIECE_SIZE];	/* of its standard error */
	KmsMask		mask;
}			child = {

	.output = -1,.errors = -1
};

static bool hide_descriptors(void);
static bool open_pipe(int *ends);
static void close_end(int *end);
static pid_t start(const char *command, int null, int output, int errors);
static void become(const char *command, pid_t parent, int null, int output,
				   int errors) __attribute__((noreturn));
static bool has_exited(void);
static bool is_late(void);
static void take_output(void);
static void take_errors(void);
static void log_line(const char *line);
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
	int			null = -1;
	int			output[2] = {-1, -1};
	int			errors[2] = {-1, -1};
	pid_t		pid = -1;

	Assert(child.pid == 0 && child.outcome == OUTCOME_NONE);
	if (!registered)
	{
		(void) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
		before_shmem_exit(forget_at_exit, (Datum) 0);
		registered = true;
	}

	if (hide_descriptors() &&
		(null = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0 &&
		open_pipe(output) && open_pipe(errors))
		pid = start(command, null, output[WRITE_END], errors[WRITE_END]);
	if (pid > 0)
	{
		child.pid = pid;
		child.killed = false;
		child.waited = false;
		child.timeout = timeout;
		INSTR_TIME_SET_CURRENT(child.start);
		kms_mask_begin(&child.mask, ERRORS_MAX);
		child.output = output[READ_END];
		child.errors = errors[READ_END];
	}
	else
	{
		snprintf(reason, reason_size, "the command cannot be started: %s",
				 strerror(errno));
		close_end(&output[READ_END]);
		close_end(&errors[READ_END]);
	}
	close_end(&output[WRITE_END]);
	close_end(&errors[WRITE_END]);
	close_end(&null);
	return pid > 0;
}

KmsCommandState
kms_command_poll(void)
{
	bool		exited;

	if (child.outcome != OUTCOME_NONE)
		return KMS_COMMAND_ENDED;
	if (child.killed)
		reap();
	if (child.pid == 0)
	{
		reap_strays();
		return KMS_COMMAND_NONE;
	}
	if (child.killed)
		return KMS_COMMAND_LEAVING;

	/* looked at first: what it wrote before is in the pipes */
	exited = has_exited();
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
	else if (!child.waited)
		snprintf(reason, reason_size, "how the command ended is not known");
	else if (WIFSIGNALED(child.status))
		snprintf(reason, reason_size,
				 "the command was ended by signal %d; the server log has what it said",
				 WTERMSIG(child.status));
	else if (WEXITSTATUS(child.status) != 0)
		snprintf(reason, reason_size,
				 "the command ended with exit code %d; the server log has what it said",
				 WEXITSTATUS(child.status));
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

/*
 * Whatever this process has open, now or by some other extension, is not for
 * a program: PostgreSQL 15 opens its files without O_CLOEXEC.
 */
static bool
hide_descriptors(void)
{
	DIR		   *directory = opendir("/proc/self/fd");
	struct dirent *entry;

	if (directory == NULL)
		return false;
	while ((entry = readdir(directory)) != NULL)
	{
		int			fd = atoi(entry->d_name);

		if (fd > STDERR_FILENO)
			(void) fcntl(fd, F_SETFD, FD_CLOEXEC);
	}
	closedir(directory);
	return true;
}

/* Only our end does not block: the program's is as it expects it. */
static bool
open_pipe(int *ends)
{
	return pipe2(ends, O_CLOEXEC) == 0 &&
		fcntl(ends[READ_END], F_SETFL, O_NONBLOCK) == 0;
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
start(const char *command, int null, int output, int errors)
{
	pid_t		parent = getpid();
	sigset_t	all;
	sigset_t	before;
	pid_t		pid;
	int			error;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become(command, parent, null, output, errors);
	error = errno;

	/* both do it, so that there is a group for each of them from here on */
	if (pid > 0)
		(void) setpgid(pid, pid);
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return pid;
}

/* Only what is safe in a handler of signals; never back to PostgreSQL. */
static void
become(const char *command, pid_t parent, int null, int output, int errors)
{
	sigset_t	none;
	int			i;

	for (i = 1; i < NSIG; i++)
		(void) signal(i, SIG_DFL);
	(void) setpgid(0, 0);
	(void) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() == parent &&
		dup2(null, STDIN_FILENO) >= 0 &&
		dup2(output, STDOUT_FILENO) >= 0 &&
		dup2(errors, STDERR_FILENO) >= 0)
	{
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl("/bin/sh", "sh", "-c", command, (char *) NULL);
	}
	_exit(127);
}

/* It stays to be waited for, unless that cannot be: then it is nobody's. */
static bool
has_exited(void)
{
	siginfo_t	info;

	info.si_pid = 0;
	if (waitid(P_PID, (id_t) child.pid, &info,
			   WEXITED | WNOHANG | WNOWAIT) == 0)
		return info.si_pid != 0;
	if (errno == EINTR)
		return false;
	child.pid = 0;
	return true;
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
		ssize_t		n = read(child.output, child.buffer + child.len,
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
		ssize_t		n = read(child.errors, child.piece, sizeof(child.piece));
		size_t		taken;
		size_t		used;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		for (taken = 0; taken < (size_t) n; taken += used)
		{
			if (kms_mask_take(&child.mask, child.piece + taken,
							  (size_t) n - taken, &used))
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

/* The outcome is there before anything is logged, as that may raise. */
static void
finish(Outcome outcome)
{
	leave();
	child.outcome = outcome;
	if (kms_mask_end(&child.mask))
		log_line(child.mask.line);
	if (child.mask.cut)
		log_line("(the rest is left out)");
}

static void
leave(void)
{
	if (child.pid > 0 && !child.killed)
		(void) kill(-child.pid, SIGKILL);
	child.killed = true;
	close_end(&child.output);
	close_end(&child.errors);
	reap();
}

/* Wait for those of the group that have ended. */
static void
reap(void)
{
	while (child.pid > 0)
	{
		int			status;
		pid_t		pid = waitpid(-child.pid, &status, WNOHANG);

		if (pid == child.pid)
		{
			child.status = status;
			child.waited = true;
		}
		else if (pid == 0)
			return;
		else if (pid < 0 && errno != EINTR)
			child.pid = 0;
	}
}

/* Daemons that left its group.  The launcher has no other children. */
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
}
