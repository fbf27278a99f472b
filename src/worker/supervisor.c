#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/supervisor.h"

#define GROUP_WAIT_MS	2000	/* for the killed group to end */

static void supervise(const char *command, KmsSupervisorEnds *ends,
					  void (*let_go) (void)) __attribute__((noreturn));
static bool close_others(const KmsSupervisorEnds *ends);
static void interrupt_poll(int signal_number);
static void become_shell(const char *command, pid_t parent,
						 const KmsSupervisorEnds *ends)
			__attribute__((noreturn));
static void watch_shell(pid_t shell, int lifeline,
						KmsSupervisorReport *report);
static bool has_exited(pid_t shell);
static bool reap_group(pid_t shell, KmsSupervisorReport *report);
static void send_report(int lifeline, const KmsSupervisorReport *report);

/* All signals are blocked, so that none of our handlers runs in the child. */
pid_t
kms_supervisor_start(const char *command, KmsSupervisorEnds *ends,
					 void (*let_go) (void))
{
	sigset_t	all;
	sigset_t	before;
	pid_t		pid;
	int			error;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		supervise(command, ends, let_go);
	error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return pid;
}

void
kms_supervisor_close(int *end)
{
	int			error = errno;

	if (*end >= 0)
		close(*end);
	*end = -1;
	errno = error;
}

/* The whole life of the supervisor. */
static void
supervise(const char *command, KmsSupervisorEnds *ends, void (*let_go) (void))
{
	KmsSupervisorReport report = {0};
	pid_t		self = getpid();
	pid_t		shell = -1;
	int			i;

	(void) setpgid(0, 0);
	for (i = 1; i < NSIG; i++)
		(void) signal(i, SIG_DFL);
	(void) signal(SIGCHLD, interrupt_poll);
	let_go();

	if (close_others(ends) &&
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
		shell = fork();
	if (shell == 0)
		become_shell(command, self, ends);
	if (shell < 0)
		report.error = errno;
	kms_supervisor_close(&ends->null);
	kms_supervisor_close(&ends->output);
	kms_supervisor_close(&ends->errors);
	if (shell > 0)
		watch_shell(shell, ends->lifeline, &report);
	send_report(ends->lifeline, &report);
	_exit(0);
}

/* Close all files of the server, however they were opened. */
static bool
close_others(const KmsSupervisorEnds *ends)
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

/* A signal interrupts ppoll() only if it has a handler. */
static void
interrupt_poll(int signal_number)
{
}

static void
become_shell(const char *command, pid_t parent, const KmsSupervisorEnds *ends)
{
	sigset_t	none;
	char		line[256];
	ssize_t		written;

	/*
	 * The supervisor does this, too, so the group exists for both processes
	 * from here on.
	 */
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

/*
 * Wait until the shell ends or the lifeline is closed, then kill and reap the
 * process group.  If the rest of the group takes longer than the shell, report
 * how the shell ended in the meantime.
 */
static void
watch_shell(pid_t shell, int lifeline, KmsSupervisorReport *report)
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
		send_report(lifeline, report);
	for (i = 0; report->left && i < GROUP_WAIT_MS; i++)
	{
		(void) usleep(1000);
		report->left = !reap_group(shell, report);
	}

	/* Reap processes that have left the group. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/*
 * Return true if the shell has exited.  It is not reaped here, so that its
 * process group id cannot be reused.
 */
static bool
has_exited(pid_t shell)
{
	siginfo_t	info;

	info.si_pid = 0;
	return waitid(P_PID, (id_t) shell, &info,
				  WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* Return false if part of the group has not ended yet. */
static bool
reap_group(pid_t shell, KmsSupervisorReport *report)
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
send_report(int lifeline, const KmsSupervisorReport *report)
{
	(void) send(lifeline, report, sizeof(*report), MSG_NOSIGNAL);
}
