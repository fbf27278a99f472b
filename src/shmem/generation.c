/*
 * The queue of sessions that generate a key.
 *
 * Generating a key takes a core for some tenths of a second, and a caller can
 * name any number of devices.  So only some sessions generate at a time, and a
 * session that generates key after key lets the others go first.  A client
 * that connects again for each key has a session without any keys, hence the
 * second criterion: the keys of its role.
 *
 * All is under generation->lock, which is held only for a scan of the queue.
 * Each session that comes or leaves chooses which one is next, and wakes only
 * that one.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "shmem/generation.h"

#include "pg/compat.h"
#include "pg/settings.h"
#include "pg/wait_event.h"

#define SLICE_MS			1000	/* between two looks, in case a wake-up is
									 * lost */
#define FULL_PAUSE_MS		50	/* pause if the queue itself is full */
#define REMEMBERED			64	/* keys of this session that are remembered */

static KmsGeneration *generation = NULL;
static KmsGenerator *mine = NULL;
static TimestampTz began_at[REMEMBERED];
static int	began = 0;			/* keys that this session ever started */
static TimestampTz waiting_since;

static void prepare(void);
static KmsGenerator *line_up(void);
static bool is_my_turn(void);
static bool take_turn(void);
static void choose_next(void);
static bool goes_before(const KmsGenerator *a, const KmsGenerator *b);
static int	count_recent(void);
static int	count_role(Oid role);
static void note_key(void);
static void note_key_of_role(Oid role);
static KmsGeneratorRole *find_role(Oid role);
static void note_wait(void);
static void leave_at_exit(int code, Datum arg);

void
kms_generation_initialize(KmsGeneration *queue, int tranche)
{
	int			i;

	LWLockInitialize(&queue->lock, tranche);
	for (i = 0; i < KMS_GENERATORS_MAX; i++)
		ConditionVariableInit(&queue->generators[i].chosen);
}

void
kms_generation_attach(KmsGeneration *queue)
{
	generation = queue;
}

void
kms_generation_enter(void)
{
	prepare();
	PG_TRY();
	{
		while ((mine = line_up()) == NULL)
		{
			CHECK_FOR_INTERRUPTS();
			(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 FULL_PAUSE_MS, kms_wait_event(KMS_WAIT_GENERATION));
		}
		ConditionVariablePrepareToSleep(&mine->chosen);
		while (!is_my_turn())
			(void) ConditionVariableTimedSleep(&mine->chosen, SLICE_MS,
											   kms_wait_event(KMS_WAIT_GENERATION));
		ConditionVariableCancelSleep();
	}
	PG_CATCH();
	{
		ConditionVariableCancelSleep();
		kms_generation_leave();
		PG_RE_THROW();
	}
	PG_END_TRY();
}

bool
kms_generation_try_enter(void)
{
	bool		turn;

	prepare();
	mine = line_up();
	if (mine == NULL)
		return false;
	LWLockAcquire(&generation->lock, LW_EXCLUSIVE);
	turn = take_turn();
	if (!turn)
	{
		mine->pid = 0;
		mine = NULL;
	}
	LWLockRelease(&generation->lock);
	return turn;
}

static void
prepare(void)
{
	static bool registered = false;

	if (!registered)
	{
		before_shmem_exit(leave_at_exit, (Datum) 0);
		registered = true;
	}
	Assert(mine == NULL);
	waiting_since = GetCurrentTimestamp();
}

void
kms_generation_leave(void)
{
	if (mine == NULL)
		return;
	LWLockAcquire(&generation->lock, LW_EXCLUSIVE);
	if (!mine->running)
		note_wait();			/* it stops waiting */
	mine->pid = 0;
	mine->running = false;
	mine = NULL;
	choose_next();
	LWLockRelease(&generation->lock);
}

TimestampTz
kms_generation_late(int64 *late_ms)
{
	TimestampTz late_at;

	LWLockAcquire(&generation->lock, LW_SHARED);
	late_at = generation->late_at;
	*late_ms = generation->late_ms;
	LWLockRelease(&generation->lock);
	return late_at;
}

/* Enter this session in the queue.  Return NULL if the queue is full. */
static KmsGenerator *
line_up(void)
{
	KmsGenerator *generator = NULL;
	int			i;

	LWLockAcquire(&generation->lock, LW_EXCLUSIVE);
	for (i = 0; i < KMS_GENERATORS_MAX && generator == NULL; i++)
	{
		if (generation->generators[i].pid != 0)
			continue;
		generator = &generation->generators[i];
		generator->pid = MyProcPid;
		generator->running = false;
		generator->made = count_recent();
		generator->role = GetSessionUserId();
		generator->arrival = ++generation->arrivals;
	}
	LWLockRelease(&generation->lock);
	return generator;
}

/* Return true if it is this session's turn, and count the key as started. */
static bool
is_my_turn(void)
{
	bool		turn;

	LWLockAcquire(&generation->lock, LW_EXCLUSIVE);
	turn = take_turn();
	LWLockRelease(&generation->lock);
	return turn;
}

/* Must hold the lock exclusively. */
static bool
take_turn(void)
{
	mine->made = count_recent();
	choose_next();
	if (!mine->running)
		return false;
	note_wait();
	note_key();
	return true;
}

/* Must hold the lock exclusively. */
static void
choose_next(void)
{
	int			running = 0;
	int			i;

	for (i = 0; i < KMS_GENERATORS_MAX; i++)
	{
		if (generation->generators[i].running)
			running++;
	}
	for (; running < kms_keygen_concurrency; running++)
	{
		KmsGenerator *next = NULL;

		for (i = 0; i < KMS_GENERATORS_MAX; i++)
		{
			KmsGenerator *other = &generation->generators[i];

			if (other->pid != 0 && !other->running &&
				(next == NULL || goes_before(other, next)))
				next = other;
		}
		if (next == NULL)
			return;
		next->running = true;
		note_key_of_role(next->role);
		ConditionVariableSignal(&next->chosen);
	}
}

/* Must hold the lock. */
static bool
goes_before(const KmsGenerator *a, const KmsGenerator *b)
{
	int			role_a;
	int			role_b;

	if (a->made != b->made)
		return a->made < b->made;
	role_a = count_role(a->role);
	role_b = count_role(b->role);
	if (role_a != role_b)
		return role_a < role_b;
	return a->arrival < b->arrival;
}

/*
 * Return how many keys this session started in the last minute, at most
 * REMEMBERED.
 */
static int
count_recent(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int			count = 0;
	int			i;

	for (i = 0; i < Min(began, REMEMBERED); i++)
	{
		if (began_at[i] <= now && now - began_at[i] < USECS_PER_MINUTE)
			count++;
	}
	return count;
}

/* Must hold the lock. */
static int
count_role(Oid role)
{
	const KmsGeneratorRole *counted = find_role(role);
	int64		minute = GetCurrentTimestamp() / USECS_PER_MINUTE;

	if (counted == NULL)
		return 0;
	if (counted->minute == minute)
		return counted->made + counted->made_before;
	return counted->minute == minute - 1 ? counted->made : 0;
}

/* Count a key when it is started, so that cancelling it gains nothing. */
static void
note_key(void)
{
	began_at[began % REMEMBERED] = GetCurrentTimestamp();
	began = began < 2 * REMEMBERED - 1 ? began + 1 : REMEMBERED;
}

/* Must hold the lock exclusively. */
static void
note_key_of_role(Oid role)
{
	KmsGeneratorRole *counted = find_role(role);
	int64		minute = GetCurrentTimestamp() / USECS_PER_MINUTE;
	int			i;

	if (counted == NULL)
	{
		counted = &generation->roles[0];
		for (i = 1; i < KMS_GENERATOR_ROLES; i++)
		{
			if (generation->roles[i].minute < counted->minute ||
				(generation->roles[i].minute == counted->minute &&
				 generation->roles[i].made < counted->made))
				counted = &generation->roles[i];
		}
		memset(counted, 0, sizeof(*counted));
		counted->role = role;
	}
	if (counted->minute != minute)
	{
		counted->made_before = counted->minute == minute - 1 ? counted->made : 0;
		counted->made = 0;
		counted->minute = minute;
	}
	counted->made++;
}

/* Must hold the lock. */
static KmsGeneratorRole *
find_role(Oid role)
{
	int			i;

	for (i = 0; i < KMS_GENERATOR_ROLES; i++)
	{
		if (generation->roles[i].role == role)
			return &generation->roles[i];
	}
	return NULL;
}

/* Must hold the lock exclusively. */
static void
note_wait(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (now - waiting_since <= KMS_GENERATION_LATE_MS * INT64CONST(1000))
		return;
	generation->late_at = now;
	generation->late_ms = (now - waiting_since) / 1000;
}

static void
leave_at_exit(int code, Datum arg)
{
	kms_generation_leave();
}
