#include "postgres.h"

#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"

#include "pg/lock.h"

#include "pg/catalog.h"

void
kms_lock_device(LOCKTAG *tag, const char *device_id)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) device_id,
										   strlen(device_id), 0);

	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, kms_catalog()->key,
					   (uint32) (hash >> 32), (uint16) hash);
}

/*
 * The tag cannot be that of a real tuple: no table has so many blocks, and no
 * block so many tuples.
 */
void
kms_lock_subject(LOCKTAG *tag, const unsigned char *digest)
{
	uint32		block;
	uint16		offset;

	StaticAssertStmt(sizeof(block) + sizeof(offset) == KMS_LOCK_SUBJECT_SIZE,
					 "the digest is used up");
	memcpy(&block, digest, sizeof(block));
	memcpy(&offset, digest + sizeof(block), sizeof(offset));
	SET_LOCKTAG_TUPLE(*tag, MyDatabaseId, kms_catalog()->key,
					  block | 0x80000000, offset | 0x8000);
}

void
kms_lock_wait(const LOCKTAG *tag)
{
	(void) LockAcquire(tag, ExclusiveLock, false, false);
	AcceptInvalidationMessages();
}

void
kms_lock_release(const LOCKTAG *tag)
{
	(void) LockRelease(tag, ExclusiveLock, false);
}

bool
kms_lock_try(const LOCKTAG *tag)
{
	if (LockAcquire(tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();
	return true;
}

bool
kms_lock_making(Oid table, bool wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, table, 0, 0);
	if (!wait)
		return kms_lock_try(&tag);
	kms_lock_wait(&tag);
	return true;
}

/* DROP EXTENSION holds AccessExclusiveLock on the extension itself. */
bool
kms_lock_try_extension(Oid extension, KmsExtensionLock which)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, extension,
					   which);
	return LockAcquire(&tag, which == KMS_LOCK_EXTENSION ? AccessShareLock
					   : ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* A session takes this lock before it looks for its database. */
bool
kms_lock_bars_connections(Oid database)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database, 0);
	return LockAcquire(&tag, RowExclusiveLock, false, true) ==
		LOCKACQUIRE_NOT_AVAIL;
}
