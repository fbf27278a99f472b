/*
 * Generate a key in idle time of the processor.
 *
 * The search runs in a thread of the class SCHED_IDLE, and the process waits
 * for it at its latch.  docs/design/decisions.md says why, and what autogroup
 * is.
 *
 * Rules:
 *
 * - The thread calls OpenSSL only, never PostgreSQL.  All its signals are
 *   blocked, so that handlers run in the process's own thread.
 * - There is one thread at a time.  The process never continues, raises an
 *   error or exits before the thread has ended: kms_prime_search_run joins it
 *   on each exit path, and otherwise a callback before exit does.  (SIGQUIT or
 *   SIGKILL ends both at once.)
 * - The thread is told to stop by a flag.  While the process waits for it, it
 *   absorbs barriers, because other processes wait for them.
 */
#include "postgres.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procsignal.h"

#include "worker/prime_search.h"

#include "crypto/rsa_generate.h"
#include "pg/compat.h"
#include "pg/wait_event.h"
#include "worker/pace.h"

#define AUTOGROUP_TRIES		250
#define AUTOGROUP_PAUSE_US	20000
#define STOP_STEP_MS		50

/* The current search: what the two threads share, and the ends of the pipe. */
static struct
{
	bool		running;		/* a thread has to be joined */
	pthread_t	thread;
	int			done[2];		/* the thread writes a byte at its end */
	bool		stop;			/* atomic */
	KmsPace		pace;			/* the thread's */
	int			bits;
	KmsStatus	status;			/* the thread's until it is joined */
	KmsKeyPair *key;
}			search;

/* /proc/self/autogroup, open for writing, or -1. */
static int	autogroup = -1;

static void start_thread(int bits);
static void *run(void *arg);
static void lower_priority(void);
static void set_session_nice(const char *nice);
static void wait_out(void);
static bool should_stop(void *arg);
static void wait_for_end(bool (*must_stop) (void *arg), void *arg);
static void end(void);
static void stop_at_exit(int code, Datum arg);

void
kms_prime_search_prepare(void)
{
#ifdef __linux__
	autogroup = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
#endif
}

KmsStatus
kms_prime_search_run(int bits, bool (*must_stop) (void *arg), void *arg,
					 KmsKeyPair **key)
{
	*key = NULL;
	start_thread(bits);
	PG_TRY();
	{
		wait_for_end(must_stop, arg);
	}
	PG_CATCH();
	{
		end();
		kms_key_pair_free(search.key);
		search.key = NULL;
		PG_RE_THROW();
	}
	PG_END_TRY();
	end();
	*key = search.key;
	search.key = NULL;
	return search.status;
}

static void
start_thread(int bits)
{
	static bool registered = false;
	sigset_t	all;
	sigset_t	before;
	int			error;

	if (!registered)
	{
		before_shmem_exit(stop_at_exit, (Datum) 0);
		registered = true;
	}
	stop_at_exit(0, (Datum) 0); /* if a barrier raised an error in end() */
	search.bits = bits;
	search.stop = false;
	search.status = KMS_FAILED;
	search.key = NULL;
	if (pipe(search.done) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create a pipe: %m")));
	(void) fcntl(search.done[0], F_SETFD, FD_CLOEXEC);
	(void) fcntl(search.done[1], F_SETFD, FD_CLOEXEC);

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&search.thread, NULL, run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	search.running = error == 0;
	if (error != 0)
	{
		close(search.done[0]);
		close(search.done[1]);
		errno = error;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not create a thread: %m")));
	}
	set_session_nice("19");
}

/*
 * Set the weight of the session.  The kernel limits how often that is possible
 * in the whole system (EAGAIN), so retry.
 */
static void
set_session_nice(const char *nice)
{
	int			i;

	for (i = 0; autogroup >= 0 && i < AUTOGROUP_TRIES; i++)
	{
		if (write(autogroup, nice, strlen(nice)) >= 0 || errno != EAGAIN)
			break;
		pg_usleep(AUTOGROUP_PAUSE_US);
	}
}

/* The main function of the thread. */
static void *
run(void *arg)
{
	lower_priority();
	kms_pace_begin(&search.pace);
	search.status = kms_rsa_generate(search.bits, should_stop, NULL,
									 &search.key);
	kms_pace_end(&search.pace);
	OPENSSL_thread_stop();
	while (write(search.done[1], "", 1) < 0 && errno == EINTR)
		;
	return NULL;
}

/*
 * Lower the thread's priority.  On other systems than Linux the search runs at
 * normal priority.
 */
static void
lower_priority(void)
{
#ifdef __linux__
	struct sched_param parameter = {0};

	/* Both calls change the calling thread only. */
	(void) setpriority(PRIO_PROCESS, 0, 19);
	(void) sched_setscheduler(0, SCHED_IDLE, &parameter);
#endif
}

/* Called by the search for each candidate. */
static bool
should_stop(void *arg)
{
	kms_pace_step(&search.pace, &search.stop);
	return __atomic_load_n(&search.stop, __ATOMIC_RELAXED);
}

static void
wait_for_end(bool (*must_stop) (void *arg), void *arg)
{
	for (;;)
	{
		int			events = WaitLatchOrSocket(MyLatch,
											   WL_LATCH_SET |
											   WL_SOCKET_READABLE |
											   WL_EXIT_ON_PM_DEATH,
											   search.done[0], -1,
											   kms_wait_event(KMS_WAIT_KEYGEN));

		if (events & WL_SOCKET_READABLE)
			return;
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (must_stop(arg))
			return;
	}
}

static void
end(void)
{
	if (!search.running)
		return;
	__atomic_store_n(&search.stop, true, __ATOMIC_RELAXED);
	set_session_nice("0");
	wait_out();
	(void) pthread_join(search.thread, NULL);
	search.running = false;
	close(search.done[0]);
	close(search.done[1]);
}

/*
 * Wait until the thread has ended.  At exit this raises no error; otherwise a
 * barrier may.
 */
static void
wait_out(void)
{
	struct pollfd done = {search.done[0], POLLIN, 0};

	while (poll(&done, 1, STOP_STEP_MS) <= 0)
	{
		if (ProcSignalBarrierPending && !proc_exit_inprogress)
			ProcessProcSignalBarrier();
	}
}

static void
stop_at_exit(int code, Datum arg)
{
	end();
	kms_key_pair_free(search.key);
	search.key = NULL;
}
