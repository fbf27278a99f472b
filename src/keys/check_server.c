#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "keys/check_server.h"

#include "crypto/algorithm.h"
#include "crypto/key_algorithm.h"
#include "crypto/openssl.h"
#include "keys/group.h"
#include "keys/name_list.h"
#include "pg/settings.h"
#include "shmem/shared.h"
#include "store/health.h"

/* A worker that has not finished a round for this long is stuck. */
#define STALE_WRITER_S	10
#define STALE_MAINTENANCE_S	180

static const char *const worker_names[] = {
	[KMS_WRITER] = "event writer",
	[KMS_MAINTENANCE] = "maintenance worker",
	[KMS_KEYGEN] = "key generation worker"
};

void
kms_check_server_launcher(KmsReport report, void *result)
{
	int			pid;

	LWLockAcquire(&kms_shared->lock, LW_SHARED);
	pid = kms_shared->launcher_pid;
	LWLockRelease(&kms_shared->lock);
	if (pid == 0)
		report(result, "error", "the launcher of kms does not run",
			   "Raise max_worker_processes and restart the server; until then there is no master key and no event is written.");
}

void
kms_check_server_workers(KmsReport report, void *result)
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
		else if (number < KMS_KEYGEN && /* its rounds may take any time */
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

void
kms_check_server(KmsReport report, void *result)
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
	if (kms_algorithm_x25519() == NULL)
		report(result, kms_key_algorithm == KMS_X25519 ? "error" : "notice",
			   "OpenSSL does not offer X25519: keys of this algorithm cannot be made or used",
			   "Look at the providers that openssl.cnf activates for the server, or use EC-P256.");
	if (readers != NULL)
		report(result, "warning",
			   psprintf("roles can read files of the server or run programs there, and so read the master key: %s", readers),
			   "Revoke pg_read_server_files and pg_execute_server_program from them.");
	if (plain > 0)
		report(result, "warning",
			   psprintf("sessions over the network without TLS: " INT64_FORMAT, plain),
			   "Plaintext travels in the clear; use hostssl in pg_hba.conf.");
}

void
kms_check_server_lanes(KmsReport report, void *result)
{
	uint64		wrong = kms_group_wrong_results();

	if (kms_group_failed_at_start())
		report(result, "error",
			   "crypto_mb is not used, because it gave wrong answers when the server was started",
			   "The processor or the library is faulty: test the machine, and install another version of the library.");
	if (wrong > 0)
		report(result, "error",
			   psprintf("crypto_mb has given wrong results: " UINT64_FORMAT ", none of which was used", wrong),
			   "The processor or the library is faulty: set kms.multi_buffer = off, and test the machine.");
}

void
kms_check_server_tables(KmsReport report, void *result)
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
			   "See pg_locks for the session; calls wait for it.");
}
