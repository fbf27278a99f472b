/*
 * The checks of kms_check().  Each reports findings, and how to fix them.
 *
 * Each runs in a subtransaction of its own, because tables that were changed
 * may make any statement fail.  The error becomes a finding, and the next
 * check runs.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "keys/check.h"

#include "crypto/ec_generate.h"
#include "crypto/rsa_oaep.h"
#include "crypto/self_test.h"
#include "keys/admit.h"
#include "keys/check_clock.h"
#include "keys/check_copies.h"
#include "keys/check_fields.h"
#include "keys/check_keys.h"
#include "keys/check_lock.h"
#include "keys/check_master_key.h"
#include "keys/check_members.h"
#include "keys/check_publication.h"
#include "keys/check_server.h"
#include "keys/check_settings.h"
#include "keys/check_trail.h"
#include "keys/check_unwritten.h"
#include "keys/check_upkeep.h"
#include "keys/check_workers.h"
#include "keys/continuity.h"
#include "keys/name_list.h"
#include "pg/subtransaction.h"
#include "shmem/shared.h"
#include "store/due.h"

/* How long a check waits for a lock. */
#define LOCK_PATIENCE	"200ms"

typedef struct Check
{
	const char *what;			/* subject, for messages */
	void		(*run) (KmsReport report, void *arg);
	bool		served;			/* needs a database with a place in shared
								 * memory */
} Check;

typedef struct Run
{
	const Check *check;
	KmsReport	report;
	void	   *arg;
} Run;

static void run_all(KmsReport report, void *arg);
static bool run_check(const Check *check, KmsReport report, void *arg);
static bool run_it(void *arg);
static bool opens_one_key(const char **what);

static const Check checks[] = {
	{"the launcher", kms_check_server_launcher},
	{"the places of databases", kms_check_workers},
	{"the workers", kms_check_server_workers},
	{"the event ring", kms_check_trail_ring},
	{"events left in the ring", kms_check_unwritten},
	{"locks in the writer's way", kms_check_lock},
	{"the master key", kms_check_master_key},
	{"the memory of the master key", kms_check_master_key_memory},
	{"the tables of kms", kms_check_server_tables, true},
	{"the owners of kms", kms_check_members_owners},
	{"the rights of roles", kms_check_members_rights},
	{"what others attached", kms_check_members_attached},
	{"the storage of tables", kms_check_members_storage},
	{"the version of the SQL", kms_check_members_version},
	{"kms.event_quarantine", kms_check_trail_quarantine, true},
	{"the trail", kms_check_trail, true},
	{"the anchor of the trail", kms_continuity_check, true},
	{"the use of master keys", kms_check_master_key_use, true},
	{"the rows of keys", kms_check_keys, true},
	{"the rows of field keys", kms_check_fields_rows, true},
	{"destroyed field keys", kms_check_fields_destroyed, true},
	{"the rights on fields", kms_check_fields_rights, true},
	{"keys made elsewhere", kms_check_copies_keys, true},
	{"tickets of two epochs", kms_check_copies_tickets, true},
	{"prepared transactions", kms_check_upkeep_prepared, true},
	{"what is deleted", kms_check_upkeep_purge, true},
	{"publications", kms_check_publication},
	{"the clocks", kms_check_clock, true},
	{"the server", kms_check_server},
	{"multi-buffer RSA", kms_check_server_lanes},
	{"the settings", kms_check_settings},
	{"the configuration files", kms_check_settings_files},
	{"the server's command line", kms_check_settings_command_line},
	{"the settings of databases and roles", kms_check_settings_altered},
	{"the memory of keys", kms_check_keys_memory}
};

List *
kms_check_run(void)
{
	KmsFindings findings = {.context = CurrentMemoryContext};

	run_all(kms_finding_collect, &findings);
	return kms_finding_sort(&findings);
}

static void
run_all(KmsReport report, void *arg)
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
 * Run a check.  Return false if it could not get a lock.  An error is reported
 * without its detail, because that may show a row.
 */
static bool
run_check(const Check *check, KmsReport report, void *arg)
{
	Run			run = {check, report, arg};
	ErrorData  *error;
	bool		waited;

	if (kms_subtransaction_run(run_it, &run, LOCK_PATIENCE, &error))
		return true;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		error->sqlerrcode == ERRCODE_OUT_OF_MEMORY)
		ReThrowError(error);
	waited = error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
	if (!waited)
		report(arg, "error",
			   psprintf("not checked: %s: %s", check->what,
						kms_subtransaction_error_text(error)),
			   "Undo what was changed in schema kms, or restore the database from a backup; other findings may say more.");
	FreeErrorData(error);
	return !waited;
}

static bool
run_it(void *arg)
{
	Run		   *run = arg;

	run->check->run(run->report, run->arg);
	return true;
}

bool
kms_check_self_test(const char **what)
{
	return kms_self_test_run(what) == KMS_OK && opens_one_key(what);
}

/*
 * Return whether a stored key decrypts what it encrypted, or none can be
 * tried.  *what has a meaning only on false.
 */
static bool
opens_one_key(const char **what)
{
	static const unsigned char plain[] = "kms self-test";
	unsigned char cipher[KMS_RSA_MAX_BLOCK];
	unsigned char opened[KMS_RSA_MAX_BLOCK];
	size_t		cipher_len;
	size_t		opened_len = 0;
	KmsOaep		oaep = {KMS_SHA256, KMS_DIGEST_NONE, NULL, 0};
	KmsFault	fault = {0};
	KmsKey		found;
	KmsKeyPair *key;
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
			return true;		/* not the library's fault; kms_check()
								 * reports it */
		default:
			return false;
	}
	*what = "a stored key does not decrypt what it encrypted";
	if (kms_key_pair_type(key) != KMS_TYPE_RSA)
		return kms_ec_generate_check_pair(key) == KMS_OK;
	return kms_rsa_oaep_encrypt(key, &oaep, plain, sizeof(plain), cipher,
								&cipher_len) == KMS_OK &&
		kms_rsa_oaep_decrypt(key, &oaep, cipher, cipher_len, opened,
							 &opened_len) == KMS_OK &&
		opened_len == sizeof(plain) && memcmp(opened, plain, opened_len) == 0;
}
