/*
 * The checks of kms_check(): each reports what it found, and how to fix it.
 *
 * Each runs in a subtransaction of its own, because what is wrong with the
 * tables may make any statement fail: a check that fails is a finding, and the
 * others go on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "keys/check.h"

#include "crypto/self_test.h"
#include "keys/audit_key.h"
#include "keys/check_clock.h"
#include "keys/check_copies.h"
#include "keys/check_members.h"
#include "keys/check_publication.h"
#include "keys/check_settings.h"
#include "keys/check_workers.h"
#include "keys/clock.h"
#include "keys/continuity.h"
#include "keys/check_unwritten.h"
#include "keys/check_lock.h"
#include "keys/month_key.h"
#include "keys/admit.h"
#include "keys/name_list.h"
#include "keys/opened.h"
#include "keys/rewrap.h"
#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "shmem/events.h"
#include "shmem/master.h"
#include "shmem/master_file.h"
#include "store/checkpoint_table.h"
#include "store/health.h"
#include "store/key_table.h"
#include "store/prepared.h"
#include "store/purge.h"
#include "store/reference.h"
#include "store/service_key_table.h"
#include "store/due.h"
#include "store/wrapped.h"

#define SAMPLE		1000		/* keys that are authenticated */

/* A worker that has not finished a round for so many seconds is stuck. */
#define STALE_WRITER_S	10
#define STALE_MAINTENANCE_S	180

/* A writer has written what there is in less. */
#define WRITER_PATIENCE_MS	1000

/* A transaction that has been prepared for longer may be forgotten. */
#define LEFT_BEHIND_S	60

/* How long a check waits for a lock. */
#define LOCK_PATIENCE	"200ms"

typedef struct Check
{
	const char *what;			/* it looks at */
	void		(*run) (KmsReport report, void *arg);
	bool		served;			/* only in a database that has a place */
} Check;

static const char *const worker_names[] = {
	[KMS_WRITER] = "event writer",
	[KMS_MAINTENANCE] = "maintenance worker",
	[KMS_KEYGEN] = "key generation worker"
};

static bool run_check(const Check *check, KmsReport report, void *arg);
static void check_launcher(KmsReport report, void *result);
static void check_workers(KmsReport report, void *result);
static void check_ring(KmsReport report, void *result);
static void check_tables(KmsReport report, void *result);
static void check_quarantine(KmsReport report, void *result);
static void check_audit(KmsReport report, void *result);
static void check_master_key(KmsReport report, void *result);
static void check_master_key_memory(KmsReport report, void *result);
static void check_master_key_use(KmsReport report, void *result);
static void check_rows(KmsReport report, void *result);
static void check_prepared(KmsReport report, void *result);
static void check_purge(KmsReport report, void *result);
static void check_server(KmsReport report, void *result);
static void check_settings(KmsReport report, void *result);
static void check_memory(KmsReport report, void *result);

static const Check checks[] = {
	{"the launcher", check_launcher},
	{"the places of databases", kms_check_workers},
	{"the workers", check_workers},
	{"the event ring", check_ring},
	{"events left in the ring", kms_check_unwritten},
	{"locks in the writer's way", kms_check_lock},
	{"the master key", check_master_key},
	{"the memory of the master key", check_master_key_memory},
	{"the tables of kms", check_tables, true},
	{"the owners of kms", kms_check_members_owners},
	{"the rights of roles", kms_check_members_rights},
	{"what others attached", kms_check_members_attached},
	{"the storage of tables", kms_check_members_storage},
	{"the version of the SQL", kms_check_members_version},
	{"kms.event_quarantine", check_quarantine, true},
	{"the trail", check_audit, true},
	{"the anchor of the trail", kms_continuity_check, true},
	{"the use of master keys", check_master_key_use, true},
	{"the rows of keys", check_rows, true},
	{"keys made elsewhere", kms_check_copies_keys, true},
	{"tickets of two epochs", kms_check_copies_tickets, true},
	{"prepared transactions", check_prepared, true},
	{"what is deleted", check_purge, true},
	{"publications", kms_check_publication},
	{"the clocks", kms_check_clock, true},
	{"the server", check_server},
	{"the settings", check_settings},
	{"the configuration files", kms_check_settings_files},
	{"the server's command line", kms_check_settings_command_line},
	{"the settings of databases and roles", kms_check_settings_altered},
	{"the memory of keys", check_memory}
};

void
kms_check_run(KmsReport report, void *arg)
{
	List	   *locked = NIL;
	bool		served = RecoveryInProgress() || kms_shared_database() != NULL;
	int			i;

	for (i = 0; i < (int) lengthof(checks); i++)
	{
		if (checks[i].served && !served)
			continue;
		if (!run_check(&checks[i], report, arg))
			locked = lappend(locked, unconstify(char *, checks[i].what));
	}
	if (locked != NIL)
		report(arg, "error",
			   psprintf("not checked, because another session has locked a table: %s",
						kms_name_list_join(locked)),
			   "Run kms_check() again when that session is done; pg_locks has it.");
}

/*
 * False if the check would have had to wait for a lock.  An error is reported
 * without its detail, which may show a row; so may the message of a data
 * exception.
 */
static bool
run_check(const Check *check, KmsReport report, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool waited = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		int			settings = NewGUCNestLevel();

		(void) set_config_option("lock_timeout", LOCK_PATIENCE, PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
								 false);
		check->run(report, arg);
		AtEOXact_GUC(true, settings);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_OUT_OF_MEMORY)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		waited = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
		if (!waited)
			report(arg, "error",
				   ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_DATA_EXCEPTION ?
				   psprintf("not checked: %s (SQLSTATE %s)", check->what,
							unpack_sql_state(error->sqlerrcode)) :
				   psprintf("not checked: %s: %s", check->what, error->message),
				   "Undo what was changed in schema kms, or restore the database from a backup; other findings may say more.");
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return !waited;
}

bool
kms_check_one_key(const char **what)
{
	static const unsigned char plain[] = "kms self-test";
	unsigned char cipher[KMS_RSA_MAX_BLOCK];
	unsigned char opened[KMS_RSA_MAX_BLOCK];
	size_t		cipher_len;
	size_t		opened_len = 0;
	KmsOaep		oaep = {KMS_SHA256, KMS_DIGEST_NONE, NULL, 0};
	KmsFault	fault = {0};
	KmsKey		found;
	KmsRsaKey  *key;
	List	   *ids = kms_due_find(KMS_SWEEP_SAMPLE, GetCurrentTimestamp(), 1, NULL);

	if (ids == NIL)
		return true;
	*what = "a stored key does not open";
	switch (kms_admit_private(NULL, linitial(ids), NULL, KMS_USE_RECOVER,
							  &found, &key, &fault))
	{
		case KMS_OK:
			break;
		case KMS_KEY_NOT_FOUND:
			return true;		/* deleted in the meantime */
		case KMS_NO_MASTER_KEY:
		case KMS_OTHER_MASTER_KEY:
			return true;		/* not the library's fault; kms_check() says
								 * it */
		default:
			return false;
	}
	*what = "a stored key does not decrypt what it encrypted";
	return kms_rsa_encrypt(key, &oaep, plain, sizeof(plain), cipher,
						   &cipher_len) == KMS_OK &&
		kms_rsa_decrypt(key, &oaep, cipher, cipher_len, opened,
						&opened_len) == KMS_OK &&
		opened_len == sizeof(plain) && memcmp(opened, plain, opened_len) == 0;
}

static void
check_launcher(KmsReport report, void *result)
{
	int			pid;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	pid = kms_shared->launcher_pid;
	LWLockRelease(&kms_shared->lock);
	if (pid == 0)
		report(result, "error", "the launcher of kms does not run",
			   "Raise max_worker_processes and restart the server; until then there is no master key and no event is written.");
}

static void
check_workers(KmsReport report, void *result)
{
	KmsDatabase *database = kms_shared_database();
	int			number;

	if (database == NULL)
		return;
	for (number = 0; number < KMS_KEYGEN + kms_keygen_workers; number++)
	{
		const char *name = worker_names[Min(number, KMS_KEYGEN)];
		KmsWorkerState worker;
		TimestampTz since;

		LWLockAcquire(&kms_shared->lock, LW_SHARED);
		worker = database->worker[number];
		LWLockRelease(&kms_shared->lock);
		since = Max(worker.heartbeat, worker.started_at);
		if (worker.failed_at != 0)
			report(result, "error",
				   psprintf("the %s failed last at %s: %s",
							name, timestamptz_to_str(worker.failed_at),
							worker.last_error),
				   "Remove the cause; it tries again by itself. If it waits for a lock, another finding names the holder.");
		else if (number < KMS_KEYGEN && /* has all the time it needs */
				 worker.pid != 0 &&
				 TimestampDifferenceExceeds(since, GetCurrentTimestamp(),
											1000 * (number == KMS_WRITER ?
													STALE_WRITER_S :
													STALE_MAINTENANCE_S)))
			report(result, "warning",
				   psprintf("the %s has not finished a round since %s",
							name, timestamptz_to_str(since)),
				   psprintf("Look at process %d in pg_stat_activity.", worker.pid));
	}
}

static void
check_ring(KmsReport report, void *result)
{
	KmsRingCounters ring;
	int64		epoch;
	uint64		unrecorded = pg_atomic_read_u64(&kms_shared->unrecorded);

	if (unrecorded > 0)
		report(result, "error",
			   psprintf("events not recorded for want of a ring file: " UINT64_FORMAT, unrecorded),
			   "Look at the server log; there must be room for kms.event_ring_size in pg_stat_tmp.");
	if (!kms_events_counters(&ring, &epoch))
		return;
	if (ring.head != ring.tail && !kms_events_flush(WRITER_PATIENCE_MS))
		report(result, "warning",
			   "events have been waiting to be written for more than a second",
			   "Other findings name what holds the event writer up: an error, a lock, a standby; see also its row in pg_stat_activity. With kms.audit = required, calls fail with KM008 in the meantime.");
	if (ring.head - ring.tail > ring.slots * 3 / 4)
		report(result, "warning", "the event ring is more than three quarters full",
			   "Find out what holds the event writer up, or raise kms.event_ring_size.");
	if (ring.dropped > 0)
		report(result, "warning",
			   psprintf("events dropped because the event ring was full: " UINT64_FORMAT, ring.dropped),
			   "Raise kms.event_ring_size.");
	if (ring.damaged > 0)
		report(result, "warning",
			   psprintf("damaged entries of the event ring: " UINT64_FORMAT, ring.damaged),
			   "The trail has a row of operation \"gap\" where events may be missing.");
}

static void
check_tables(KmsReport report, void *result)
{
	List	   *missing = kms_health_missing_relations();
	List	   *locked = kms_health_locked_tables();

	if (missing != NIL)
		report(result, "error",
			   psprintf("tables or indexes of kms are missing: %s", kms_name_list_join(missing)),
			   "Restore them, or the database, from a backup; if they were only renamed, rename them back.");
	if (locked != NIL)
		report(result, "error",
			   psprintf("another session has locked tables of kms: %s", kms_name_list_join(locked)),
			   "See pg_locks for which; calls wait for it.");
}

static void
check_quarantine(KmsReport report, void *result)
{
	if (kms_health_quarantined() > 0)
		report(result, "warning",
			   psprintf("events that could not be written and were set aside: " INT64_FORMAT, kms_health_quarantined()),
			   "kms.event_quarantine has them with the reason.");
}

/*
 * An idle server signs with its next round of maintenance, and retention
 * waits for a checkpoint that is old enough.
 */
static void
check_audit(KmsReport report, void *result)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		patience = 2 * ((int64) kms_audit_checkpoint_interval +
								kms_maintenance_interval) * USECS_PER_SEC;
	TimestampTz unsigned_since = kms_checkpoint_table_unsigned_since();
	TimestampTz oldest = kms_checkpoint_table_oldest_event(0);
	KmsClock	clock;
	List	   *bad = NIL;
	ListCell   *cell;

	foreach(cell, kms_service_key_table_all(KMS_AUDIT_KEY))
	{
		KmsServiceKey *key = lfirst(cell);

		if (kms_audit_key_public(key->id, key->public_key) == KMS_NOT_AUTHENTIC)
			bad = lappend(bad, key->id);
	}
	if (bad != NIL)
		report(result, "error",
			   psprintf("audit keys that do not authenticate: %s", kms_name_list_join(bad)),
			   "Their rows were changed behind the extension's back; restore them from a backup, or delete them from kms.audit_key.");
	if (unsigned_since != 0 && unsigned_since < now - patience)
		report(result, "warning",
			   psprintf("events since %s are not signed",
						timestamptz_to_str(unsigned_since)),
			   "The event writer signs them with the next event or the next round of maintenance. If this finding stays, the master key is missing, or something holds the writer up: see the other findings and the server log.");
	kms_clock_read(&clock);
	if (oldest != 0 && clock.known &&
		oldest < clock.due - patience - kms_event_retention * USECS_PER_SEC)
		report(result, "warning",
			   psprintf("events are older than kms.event_retention: the oldest is of %s",
						timestamptz_to_str(oldest)),
			   "Maintenance deletes them up to a checkpoint of that age that authenticates, and signs the rest again, for which it needs the master key; see kms_audit_verify().");
}

static void
check_master_key(KmsReport report, void *result)
{
	KmsMasterStatus *status = palloc(sizeof(KmsMasterStatus));
	char	   *warning = kms_master_file_warning();
	const char *source;

	kms_master_status(status);
	source = kms_master_source_name(status->source);
	if (status->state == KMS_MASTER_UNREAD && status->running_since != 0)
		report(result, "error",
			   psprintf("the master key command has been running since %s",
						timestamptz_to_str(status->running_since)),
			   "Calls wait for it, and then raise KM007; kms.master_key_command_timeout bounds it.");
	else if (status->state == KMS_MASTER_UNREAD)
		report(result, "error", "the master key has not been read yet",
			   "The launcher of kms reads it; see whether it runs.");
	else if (status->state == KMS_MASTER_UNSET)
		report(result, "error", "no master key is set",
			   "Set kms.master_key_file or kms.master_key_command in postgresql.conf and reload the server.");
	else if (status->state == KMS_MASTER_REFUSED)
		report(result, "error",
			   psprintf("the %s is refused: %s", source, status->reason),
			   "Mend it and reload the server.");
	else if (status->reason[0] != '\0')
		report(result, "error",
			   psprintf("the %s is refused, and the keys read before are in force: %s",
						source, status->reason),
			   "Mend it and reload the server, before it restarts.");
	if (warning != NULL)
		report(result, "warning", warning,
			   "Keep the file outside of the data directory and of backups.");
}

static void
check_master_key_memory(KmsReport report, void *result)
{
	if (kms_master_memory() == KMS_MASTER_LOCKED)
		report(result, "notice",
			   "the master keys are in locked memory, not in memfd_secret",
			   "Linux 5.14 or later has it, up to 6.4 with secretmem.enable=1 on its command line.");
	else if (kms_master_memory() == KMS_MASTER_PLAIN)
		report(result, "notice",
			   "the master keys are in memory that may be swapped out or dumped",
			   "Raise the server's limit of locked memory (LimitMEMLOCK, ulimit -l), and restart it.");
}

static void
check_master_key_use(KmsReport report, void *result)
{
	KmsMasterStatus *status = palloc(sizeof(KmsMasterStatus));
	bool		now;
	char	   *missing = kms_month_key_missing(&now);
	ListCell   *cell;

	kms_master_status(status);
	if (status->state != KMS_MASTER_READY)
		return;
	if (missing != NULL)
		report(result, now ? "error" : "warning", missing,
			   "Add a line with that label to the master keys and reload the server.");
	foreach(cell, kms_rewrap_uses())
	{
		KmsMasterKeyUse *use = lfirst(cell);
		char		id[2 * KMS_MASTER_KEY_ID_SIZE + 1];

		kms_master_key_id_text(use->id, id);
		if (use->place < 0)
			report(result, "error",
				   psprintf("keys wrapped under master key \"%s\", which this server does not have: " INT64_FORMAT ", and peppers or audit keys: %d",
							id, kms_wrapped_count(use->id), use->peppers),
				   "Add that master key to what kms.master_key_file or kms.master_key_command gives, below the current one, and reload the server.");
		else if (use->used && !kms_month_key_stays(status, use->place))
			report(result, "notice",
				   psprintf("keys are still wrapped under master key \"%s\", which is not the current one",
							id),
				   "Run kms_rewrap_keys() until it returns 0, or set kms.rewrap_automatically; until then keep its line.");
	}
}

static void
check_rows(KmsReport report, void *result)
{
	List	   *bad = NIL;
	List	   *sample = NIL;
	List	   *older;
	List	   *newer;
	const char *severity;
	ListCell   *cell;
	KmsKeySecret *secret = palloc(sizeof(KmsKeySecret));

	if (kms_master_generation() != 0)
	{
		sample = kms_due_find(KMS_SWEEP_SAMPLE, GetCurrentTimestamp(),
							  SAMPLE, NULL);
		foreach(cell, sample)
		{
			KmsFault	ignored = {0};
			KmsKey		key;

			CHECK_FOR_INTERRUPTS();
			if (kms_admit_public(NULL, lfirst(cell), NULL, KMS_USE_CHECK, &key,
								 secret, &ignored) == KMS_NOT_AUTHENTIC &&
				(key.row.sealed || !kms_admit_denies(&key)))
				bad = lappend(bad, lfirst(cell));
		}
	}
	if (bad != NIL)
		report(result, "error",
			   psprintf("keys that do not authenticate, %d in a sample of %d: %s",
						list_length(bad), list_length(sample), kms_name_list_join(bad)),
			   "Their rows were changed behind the extension's back; restore them from a backup, or delete the keys with kms_destroy_key().");

	severity = kms_health_quarantined() > 0 ? "warning" : "error";
	older = kms_health_row_versions(false, sample);
	if (older != NIL)
		report(result, severity,
			   psprintf("keys are older than the trail says they should be: %s", kms_name_list_join(older)),
			   "An old row was restored, or a row of kms.denial was deleted, and a revoked or deprecated key may be in use again: see its events in kms.event and repeat the last change. The finding ends when the key is purged or destroyed. An event of it in kms.event_quarantine explains it, too.");
	newer = kms_health_row_versions(true, sample);
	if (newer != NIL)
		report(result, severity,
			   psprintf("keys have changed more often than the trail says: %s", kms_name_list_join(newer)),
			   "Somebody wrote to kms.denial or deleted events, and an old row may have been restored: see whether kms_audit_verify() finds something, and whether the key is in the state that you want. An event of it in kms.event_quarantine explains it, too.");
}

static void
check_prepared(KmsReport report, void *result)
{
	List	   *holders = kms_prepared_holders(GetCurrentTimestamp() -
											   LEFT_BEHIND_S * USECS_PER_SEC);

	if (holders != NIL)
		report(result, "warning",
			   psprintf("prepared transactions have held keys of kms for more than a minute: %s",
						kms_name_list_join(holders)),
			   "Calls that issue, rotate or change keys of their devices wait for them; COMMIT PREPARED or ROLLBACK PREPARED each, in this database.");
}

static void
check_purge(KmsReport report, void *result)
{
	KmsPurgeState purge;
	static const char *const deleted_from[] = {
		"key", "key_secret", "denial", "event", "event_quarantine",
		"event_checkpoint", "metric"
	};
	int64		tried = kms_health_tried_keys();
	int64		denials = kms_health_denials();
	char	   *tables = kms_reference_tables();
	char	   *roles = kms_health_referrers();
	int			i;

	for (i = 0; i < (int) lengthof(deleted_from); i++)
	{
		char	   *acting = kms_reference_acting(deleted_from[i]);

		if (acting != NULL)
			report(result, "error",
				   psprintf("nothing is deleted from kms.%s because of foreign key %s, which acts on deletes",
							deleted_from[i], acting),
				   "Make it ON DELETE NO ACTION or RESTRICT: with another action, triggers of that table would run with the rights of the extension's owner.");
	}
	if (roles != NULL)
		report(result, "notice",
			   psprintf("roles may make foreign keys to tables of kms: %s", roles),
			   "They can keep keys from being purged: revoke REFERENCES, and make foreign keys for them.");
	if (tried > 0)
		report(result, "warning",
			   psprintf("keys that maintenance could not expire or purge: " INT64_FORMAT "; tables that refer to keys: %s",
						tried, tables != NULL ? tables : "none"),
			   "Delete the rows that refer to them; if there are none, see what else kms_check() says of these keys.");

	if (denials > 0)
		report(result, "notice",
			   psprintf("keys were disabled, revoked or scheduled for deletion whose rows do not say so yet: " INT64_FORMAT, denials),
			   "They are denied all the same; maintenance seals their rows when there is a master key and no transaction holds them.");

	kms_purge_read(&purge);
	if (purge.blocked_at != 0)
		report(result, "warning",
			   psprintf("the purge waits for confirmation since %s; keys due: " INT64_FORMAT,
						timestamptz_to_str(purge.blocked_at), purge.waiting),
			   "If the server's clock is right and the keys may go, run SELECT * FROM kms_maintain(confirm_purge => true).");
}

static void
check_server(KmsReport report, void *result)
{
	char	   *readers = kms_health_file_readers();
	int64		plain = kms_health_plain_sessions();

	if (!enableFsync)
		report(result, "error", "fsync is off",
			   "A crash of the machine can lose or damage keys; set fsync = on.");
	if (!fullPageWrites)
		report(result, "warning", "full_page_writes is off",
			   "A crash of the machine can damage keys; set full_page_writes = on.");
	if (kms_openssl_is_old())
		report(result, "error",
			   psprintf("%s has timing leaks in RSA decryption", kms_openssl_version()),
			   "Install OpenSSL 3.0.9 or later.");
	if (readers != NULL)
		report(result, "warning",
			   psprintf("roles can read files of the server or run programs there, and so read the master key: %s", readers),
			   "Revoke pg_read_server_files and pg_execute_server_program from them.");
	if (plain > 0)
		report(result, "warning",
			   psprintf("sessions over the network without TLS: " INT64_FORMAT, plain),
			   "Plaintext travels in the clear; use hostssl in pg_hba.conf.");
}

static void
check_settings(KmsReport report, void *result)
{
	if (!kms_protect_memory)
		report(result, "warning", "kms.protect_memory is off",
			   "Programs of the server's user can read keys from memory; set it on.");
	if (!kms_maintenance)
		report(result, "notice", "kms.maintenance is off",
			   "Keys are swept and purged only if something calls kms_maintain().");
	if (kms_event_detail != KMS_DETAIL_ALL)
		report(result, "notice",
			   "successful decrypts are only counted (kms.event_detail = failures)",
			   "The trail does not tell who opened what, and keys with many failed decrypts are not found.");
	if (!kms_deprecate_problematic_keys)
		report(result, "notice", "kms.deprecate_problematic_keys is off",
			   "Keys with many failed decrypts stay active.");
	if (kms_keygen_limit > 5 * Max(1, kms_keygen_window / SECS_PER_DAY))
		report(result, "notice",
			   psprintf("the limit of key generation is weaker than by default: %d in %d s",
						kms_keygen_limit, kms_keygen_window),
			   "See kms.keygen_limit and kms.keygen_window.");
	if (kms_key_lifetime > 30 * SECS_PER_DAY)
		report(result, "notice", "keys live longer than by default",
			   "See kms.key_lifetime.");
}

static void
check_memory(KmsReport report, void *result)
{
	(void) kms_opened_opener();
	if (!kms_opened_heap_locked())
		report(result, "notice",
			   "private keys in memory are not locked against swapping",
			   "Raise the server's limit of locked memory (LimitMEMLOCK in systemd).");
}
