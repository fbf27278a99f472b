/*
 * Failed attempts of a subject.
 *
 * The log is a mapping that the postmaster makes while it preloads the
 * library, and every process inherits.  PostgreSQL's own segment is
 * initialized again after a crash, so a user who can crash a session could try
 * again.  kms_shared->attempts_lock protects the log, and is held for
 * microseconds.
 *
 * An attempt takes tens of milliseconds.  From its look at the count to its
 * failure, no other attempt of the same subject may look.  So a heavyweight
 * lock is used: waits for it are shown in pg_locks and can be cancelled, and
 * it is released with the transaction of its holder.  Its tag is that of a
 * tuple of kms.key that cannot exist, because its block and offset have their
 * high bits set.  Locks of objects and relations in a mode that conflicts with
 * itself are refused on a standby, locks of tuples are not, and any user could
 * take an advisory lock.
 *
 * A failure costs a core about 60 ms, so a core can cause 16 failures a
 * second.  1,048,576 entries last 17 minutes with 64 busy cores, and 18 hours
 * with one (less with hashes of other systems that cost less).  They take 40
 * MB if all are used, and memory is allocated only as they are used.
 *
 * The subject is stored as a digest of 16 bytes under a random key of this
 * server, which is lost when the server stops.  So nobody can choose subjects
 * that share a bucket, or read subjects from memory.
 */
#include "postgres.h"

#include <sys/mman.h>

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "shmem/lockout.h"

#include "crypto/kdf.h"
#include "pg/boot.h"
#include "pg/lock.h"
#include "shmem/shared.h"

#define ENTRIES (1024 * 1024)

static KmsAttempts *attempts = NULL;
static unsigned char digest_key[KMS_HMAC_SIZE];

void
kms_lockout_install(void)
{
	attempts = mmap(NULL, kms_attempts_bytes(ENTRIES), PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (attempts == MAP_FAILED)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not map memory for the failed attempts of kms: %m")));
	if (!pg_strong_random(digest_key, sizeof(digest_key)))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes for kms")));
	kms_attempts_format(attempts, ENTRIES);
}

void
kms_lockout_enter(KmsLockout *lockout, const char *subject)
{
	unsigned char digest[KMS_HMAC_SIZE];

	if (!kms_kdf_hmac_sha256(digest_key, sizeof(digest_key), &MyDatabaseId,
							 sizeof(MyDatabaseId), subject, strlen(subject),
							 digest))
		elog(ERROR, "could not compute the digest of a subject");
	memcpy(lockout->subject, digest, sizeof(lockout->subject));
	kms_lock_subject(&lockout->tag, digest);
	kms_lock_wait(&lockout->tag);
}

void
kms_lockout_leave(const KmsLockout *lockout)
{
	kms_lock_release(&lockout->tag);
}

bool
kms_lockout_refuses(const KmsLockout *lockout, int limit, int window,
					TimestampTz *retry_at)
{
	int64		now;
	int64		free_at;
	int			count;

	/*
	 * Use a clock that the operator cannot set: setting the time must not end
	 * a lock-out.
	 */
	LWLockAcquire(&kms_shared->attempts_lock, LW_SHARED);
	now = kms_boot_time();
	count = kms_attempts_count(attempts, lockout->subject, now,
							   window * USECS_PER_SEC, limit, &free_at);
	LWLockRelease(&kms_shared->attempts_lock);
	if (count < limit)
		return false;
	*retry_at = GetCurrentTimestamp() + (free_at - now);
	return true;
}

void
kms_lockout_failed(const KmsLockout *lockout)
{
	LWLockAcquire(&kms_shared->attempts_lock, LW_EXCLUSIVE);
	kms_attempts_add(attempts, lockout->subject, kms_boot_time());
	LWLockRelease(&kms_shared->attempts_lock);
}
