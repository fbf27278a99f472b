#include "postgres.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/check_workers.h"

#include "pg/settings.h"
#include "pg/standby.h"
#include "shmem/generation.h"
#include "shmem/shared.h"

#define TURN_REPORTED_S		60	/* after the last turn that a database waited
								 * for */
#define LATE_REPORTED_S		3600	/* after the last long wait to generate a
									 * key */
#define MISSED_REPORTED_S	3600	/* after the last key that was missing */
#define MISSED_ACCEPTED		10	/* such keys, so many are not reported */
#define SYNC_PATIENCE_S		5	/* for a standby to confirm a commit */
#define RESERVED_PATIENCE_S	10	/* after the start of the server */

static void check_places(KmsReport report, void *arg);
static void check_reserved(KmsReport report, void *arg);
static void check_turns(KmsReport report, void *arg);
static void check_generation(KmsReport report, void *arg);
static void check_pool(KmsReport report, void *arg);
static void check_standbys(KmsReport report, void *arg);
static bool is_recent(TimestampTz at, int seconds);

void
kms_check_workers(KmsReport report, void *arg)
{
	if (RecoveryInProgress())
		return;
	check_places(report, arg);
	check_reserved(report, arg);
	check_turns(report, arg);
	check_generation(report, arg);
	check_pool(report, arg);
	check_standbys(report, arg);
}

static void
check_places(KmsReport report, void *arg)
{
	Oid			beyond[KMS_BEYOND_MAX];
	StringInfoData names;
	int			i;

	if (kms_shared_database() == NULL)
	{
		report(arg, "error",
			   psprintf("this database has no place among kms.max_databases (%d), so every call fails",
						kms_max_databases),
			   "Raise kms.max_databases in postgresql.conf and restart the server.");
		return;
	}
	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	memcpy(beyond, kms_shared->beyond, sizeof(beyond));
	LWLockRelease(&kms_shared->lock);

	initStringInfo(&names);
	for (i = 0; i < KMS_BEYOND_MAX; i++)
	{
		char	   *name = OidIsValid(beyond[i]) ?
		get_database_name(beyond[i]) : NULL;

		if (name != NULL)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", name);
	}
	if (names.len > 0)
		report(arg, "error",
			   psprintf("databases have no place among kms.max_databases (%d), so every call in them fails: %s",
						kms_max_databases, names.data),
			   "Raise kms.max_databases in postgresql.conf and restart the server.");
}

static void
check_reserved(KmsReport report, void *arg)
{
	bool		came;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	came = kms_shared->reserved_came ||
		is_recent(kms_shared->made_at, RESERVED_PATIENCE_S);
	LWLockRelease(&kms_shared->lock);

	if (kms_reserved_writers > 0 && !came)
		report(arg, "error", "no background worker slot is kept for event writers",
			   "Raise max_worker_processes and restart the server; its log says which workers found no slot.");
	if (kms_reserved_writers > kms_max_workers)
		report(arg, "notice",
			   "kms.reserved_writers is above kms.max_workers, which includes them",
			   "Lower it, or raise kms.max_workers.");
	if (kms_reserved_writers == 0 && kms_audit == KMS_AUDIT_REQUIRED)
		report(arg, "warning",
			   "kms.audit is required, and kms.reserved_writers is 0",
			   "Set it to 1 or more; otherwise parallel queries of any user can take all background worker slots, and calls fail with KM008.");
}

static void
check_turns(KmsReport report, void *arg)
{
	TimestampTz turn_at;
	int64		turn_ms;
	int			waiting = (int) pg_atomic_read_u32(&kms_shared->writers_waiting);

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	turn_at = kms_shared->turn_at;
	turn_ms = kms_shared->turn_ms;
	LWLockRelease(&kms_shared->lock);

	if (waiting > 0 || is_recent(turn_at, TURN_REPORTED_S))
		report(arg, "notice",
			   psprintf("event writers of several databases take turns; databases that wait now: %d; the last one waited " INT64_FORMAT " ms",
						waiting, turn_ms),
			   "Raise kms.max_workers to the number of busy databases, and max_worker_processes with it.");
}

static void
check_generation(KmsReport report, void *arg)
{
	int64		late_ms;
	TimestampTz late_at = kms_generation_late(&late_ms);

	if (is_recent(late_at, LATE_REPORTED_S))
		report(arg, "warning",
			   psprintf("a session waited " INT64_FORMAT " s for its turn to generate a key, until %s",
						late_ms / 1000, timestamptz_to_str(late_at)),
			   "The pool of keys was empty: see in kms.event which role asks for many keys, and raise kms.key_pool_size or kms.keygen_concurrency.");
}

/*
 * A caller whom the pool has no key for waits for tenths of a second, and then
 * has one, so this is no warning.
 */
static void
check_pool(KmsReport report, void *arg)
{
	KmsDatabase *database = kms_shared_database();
	int64		missed;
	TimestampTz since;
	TimestampTz at;

	if (database == NULL)
		return;
	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	missed = database->pool_missed;
	since = database->pool_missed_since;
	at = database->pool_missed_at;
	LWLockRelease(&kms_shared->lock);

	if (missed > MISSED_ACCEPTED && is_recent(at, MISSED_REPORTED_S))
		report(arg, "notice",
			   psprintf("the pool of keys cannot keep up: since %s, sessions had to make " INT64_FORMAT " keys themselves",
						timestamptz_to_str(since), missed),
			   "The pool is filled while a core is idle. Raise kms.key_pool_size to the largest burst of new devices, and kms.keygen_workers if cores are idle; or issue keys of EC-P256 or X25519, which need no pool.");
}

static void
check_standbys(KmsReport report, void *arg)
{
	int			pid;
	int			waiting = kms_standby_waiters(SYNC_PATIENCE_S, &pid);
	int			connected;
	int			wanted = kms_standby_wanted(&connected);

	if (waiting > 0)
		report(arg, "error",
			   psprintf("commits wait for a synchronous standby: %d, one of them process %d",
						waiting, pid),
			   psprintf("Their changes, a revoked key for example, are not in force before that. Bring the standby back, or end the wait with SELECT pg_cancel_backend(%d): the change is then committed, and in force here. To avoid the wait, call with SET synchronous_commit = local.",
						pid));
	if (!kms_audit_wait_for_standby || kms_audit != KMS_AUDIT_REQUIRED ||
		RecoveryInProgress())
		return;
	if (!kms_standby_named())
		report(arg, "error",
			   "calls are refused, because kms.audit_wait_for_standby is on and synchronous_standby_names is empty",
			   "Name a synchronous standby, or turn kms.audit_wait_for_standby off.");
	else if (connected < wanted)
		report(arg, "error",
			   psprintf("calls fail (KM008) unless synchronous_commit is local or off, because kms.audit_wait_for_standby is on and too few synchronous standbys are connected: %d of %d",
						connected, wanted),
			   psprintf("Bring the standby back, correct synchronous_standby_names (now \"%s\"; pg_stat_replication has the names of those that are connected), or turn kms.audit_wait_for_standby off and reload.",
						kms_standby_names()));
}

static bool
is_recent(TimestampTz at, int seconds)
{
	TimestampTz now = GetCurrentTimestamp();

	return at != 0 && at <= now && now - at < seconds * USECS_PER_SEC;
}
