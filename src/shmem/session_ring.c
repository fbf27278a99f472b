/*
 * The ring of this database, as this session has mapped it; see "The file" in
 * docs/design/ring.md for when a ring is taken over, replaced or renewed.
 *
 * The first session that maps a ring after the server has started takes it
 * over, under database->ring_lock, and increments database->ring_generation.
 * The other sessions compare that with the generation of the ring that they
 * have mapped.
 */
#include "postgres.h"

#include <sys/mman.h>

#include "access/xlog.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "shmem/session_ring.h"

#include "pg/compat.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "shmem/anchor_file.h"
#include "shmem/ring_file.h"

#define FAILURE_PAUSE_MS	1000	/* pause before the next attempt */

typedef enum MapResult
{
	RING_MAPPED,
	RING_OF_OTHERS,				/* the ring belongs to another extension */
	RING_UNAVAILABLE
} MapResult;

static KmsRing *ring = NULL;
static size_t ring_size;
static uint64 ring_generation;	/* of the database when the ring was mapped */
static Oid	bound_extension = InvalidOid;
static TimestampTz failed_until = 0;

static MapResult map_ring(KmsDatabase *database, bool may_replace);
static MapResult map_ring_locked(KmsDatabase *database, bool may_replace);
static bool retire_ring(const char *path, KmsAnchor *anchor, bool *anchored);
static void take_over_ring(KmsDatabase *database);
static void unmap_ring(void);

void
kms_session_ring_bind(Oid extension_oid)
{
	KmsDatabase *database;
	MapResult	result;

	if (kms_shared == NULL)
		return;
	database = kms_shared_database();
	if (database == NULL)
		return;
	kms_shared_count_for(database, extension_oid);
	if (RecoveryInProgress())
		return;

	if (extension_oid != bound_extension)
	{
		unmap_ring();
		bound_extension = extension_oid;
		failed_until = 0;
	}
	if (kms_session_ring_is_current(database))
		return;

	result = map_ring(database, false);

	/*
	 * Replace another extension's ring only if our extension really exists: a
	 * session that has not yet noticed a DROP must not replace the ring of
	 * the new extension.
	 */
	if (result == RING_OF_OTHERS)
	{
		char	   *name = get_extension_name(extension_oid);

		if (name != NULL)
		{
			pfree(name);
			(void) map_ring(database, true);
		}
	}
}

void
kms_session_ring_bind_again(void)
{
	if (OidIsValid(bound_extension))
		kms_session_ring_bind(bound_extension);
}

bool
kms_session_ring_map(KmsDatabase *database)
{
	return kms_session_ring_is_current(database) ||
		(OidIsValid(bound_extension) &&
		 map_ring(database, false) == RING_MAPPED);
}

bool
kms_session_ring_available(void)
{
	KmsDatabase *database = kms_shared_database();

	return database != NULL && kms_session_ring_map(database);
}

KmsRing *
kms_session_ring_get(void)
{
	return ring;
}

uint64
kms_session_ring_generation(void)
{
	return ring_generation;
}

bool
kms_session_ring_is_current(KmsDatabase *database)
{
	return ring != NULL &&
		ring_generation == pg_atomic_read_u64(&database->ring_generation);
}

bool
kms_session_ring_pending(void)
{
	KmsDatabase *database = kms_shared_database();
	KmsRingCounters counters;

	if (ring == NULL || database == NULL)
		return false;
	if (!kms_session_ring_is_current(database))
		return true;
	kms_ring_counters(ring, &counters);
	return counters.head != counters.tail ||
		kms_tally_pending(kms_ring_tally(ring));
}

bool
kms_session_ring_counters(KmsRingCounters *counters, int64 *epoch)
{
	KmsDatabase *database = kms_shared_database();

	if (database == NULL || RecoveryInProgress())
		return false;
	(void) kms_session_ring_map(database);
	if (ring == NULL)
		return false;
	kms_ring_counters(ring, counters);
	*epoch = kms_ring_epoch(ring);
	return true;
}

bool
kms_session_ring_renew(void)
{
	KmsDatabase *database = kms_shared_database();
	int64		epoch = kms_ring_file_new_epoch();
	bool		renewed = false;

	if (database == NULL || epoch == 0)
		return false;

	/*
	 * Hold the lock, because a session that replaces the ring names the old
	 * file after its epoch.
	 */
	LWLockAcquire(&database->ring_lock, LW_EXCLUSIVE);
	if (kms_session_ring_is_current(database))
	{
		kms_ring_renew(ring, epoch);
		renewed = true;
	}
	LWLockRelease(&database->ring_lock);
	return renewed;
}

bool
kms_session_ring_anchor(KmsAnchor *anchor, bool comparing)
{
	KmsDatabase *database = kms_shared_database();
	KmsAnchor	filed;
	bool		found = false;
	uint64		end;

	if (database == NULL || !OidIsValid(bound_extension))
		return false;
	if (!RecoveryInProgress())
	{
		/* The writer uses the ring that it has mapped. */
		if (!comparing)
			(void) kms_session_ring_map(database);
		found = ring != NULL && kms_anchor_read(kms_ring_anchor(ring), anchor);
		if (found && !comparing && kms_ring_unchecked(ring, &end))
			anchor->exact = 0;
	}
	if (kms_anchor_file_read(bound_extension, &filed) &&
		(!found || filed.number > anchor->number))
	{
		*anchor = filed;
		found = true;
	}
	return found;
}

void
kms_session_ring_keep_anchor(KmsAnchor *anchor)
{
	if (ring != NULL)
		kms_anchor_write(kms_ring_anchor(ring), anchor);
}

void
kms_session_ring_identity(KmsRingIdentity *identity)
{
	kms_ring_file_identity(identity, bound_extension);
}

static MapResult
map_ring(KmsDatabase *database, bool may_replace)
{
	MapResult	result;

	if (kms_shared_pausing(failed_until, FAILURE_PAUSE_MS))
		return RING_UNAVAILABLE;

	LWLockAcquire(&database->ring_lock, LW_EXCLUSIVE);
	result = map_ring_locked(database, may_replace);
	LWLockRelease(&database->ring_lock);

	failed_until = result != RING_UNAVAILABLE ? 0 :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), FAILURE_PAUSE_MS);
	return result;
}

/* Must hold database->ring_lock exclusively.  Raises no error. */
static MapResult
map_ring_locked(KmsDatabase *database, bool may_replace)
{
	uint64		generation = pg_atomic_read_u64(&database->ring_generation);
	size_t		wanted = kms_ring_bytes(kms_ring_slots((size_t) kms_event_ring_size * 1024));
	bool		first_use = generation == 0;
	bool		anchored = false;
	char		path[MAXPGPATH];
	KmsAnchor	anchor;
	Oid			extension;

	unmap_ring();
	kms_ring_file_path(path, MyDatabaseId, 0);
	if (kms_ring_file_open(path, &ring, &ring_size,
						   &extension) == KMS_RING_FILE_UNREADABLE)
		return RING_UNAVAILABLE;
	if (ring != NULL && extension != bound_extension && !may_replace)
	{
		unmap_ring();
		return RING_OF_OTHERS;
	}
	if (ring != NULL &&
		(extension != bound_extension ||
		 (first_use && (ring_size != wanted ||
						!kms_ring_intact(ring, kms_ring_file_boot())))))
	{
		bool		own = extension == bound_extension;

		if (!retire_ring(path, &anchor, &anchored))
			return RING_UNAVAILABLE;
		anchored = anchored && own;
	}
	if (ring == NULL)
	{
		ring = kms_ring_file_make(path, wanted, bound_extension);
		ring_size = wanted;
		if (ring == NULL)
			return RING_UNAVAILABLE;
		if (anchored)
		{
			/*
			 * The machine may have crashed before the last anchor was on
			 * disk.
			 */
			anchor.exact = 0;
			kms_anchor_write(kms_ring_anchor(ring), &anchor);
		}
		first_use = true;
	}
	if (first_use)
		take_over_ring(database);
	ring_generation = pg_atomic_read_u64(&database->ring_generation);
	return RING_MAPPED;
}

/*
 * Unmap the ring, and rename its file after its epoch, for the writer.  The
 * next ring continues its anchor.
 */
static bool
retire_ring(const char *path, KmsAnchor *anchor, bool *anchored)
{
	char		retired[MAXPGPATH];

	kms_ring_file_path(retired, MyDatabaseId, kms_ring_epoch(ring));
	*anchored = kms_anchor_read(kms_ring_anchor(ring), anchor);
	unmap_ring();
	if (rename(path, retired) == 0)
		return true;
	kms_ring_file_complain(path, "renamed", errno);
	return false;
}

/*
 * Must hold database->ring_lock exclusively.  The caller is the first session
 * that maps the ring.
 */
static void
take_over_ring(KmsDatabase *database)
{
	uint64		abandoned = kms_ring_take_over(ring, kms_shared->generation);

	if (abandoned > 0)
		ereport(LOG,
				(errmsg("kms: %llu events that were being recorded when a process was killed are skipped",
						(unsigned long long) abandoned),
				 KMS_HIDE_STATEMENT));
	kms_ring_mark(ring, kms_ring_file_boot(), false);
	(void) msync(ring, KMS_RING_HEADER_SIZE, MS_SYNC);
	pg_atomic_write_u64(&database->ring_generation,
						pg_atomic_fetch_add_u64(&kms_shared->ring_generations, 1) + 1);
}

static void
unmap_ring(void)
{
	if (ring != NULL)
		munmap(ring, ring_size);
	ring = NULL;
	ring_generation = 0;
}
