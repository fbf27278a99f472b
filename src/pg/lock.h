/*
 * Every heavyweight lock of kms that is not the lock of a table or a row.
 *
 * They are locks of PostgreSQL's lock manager, so they show in pg_locks, take
 * part in the detection of deadlocks, and end with the transaction.  Except
 * for the first two, no SQL command takes them.
 *
 *	lock			pg_locks					held by
 *	database		object of pg_database		a session that connects
 *	extension		kms itself, objsubid 0		DROP EXTENSION; shared by the
 *												writer
 *	writer			kms, objsubid 1				the writer of the trail
 *	roll-up			kms, objsubid 2				a roll-up of kms.metric
 *	start			kms, objsubid 3				signing the trail's start
 *	device			object of kms.key			a change of a device's keys
 *	making			object 0 of kms.pool_key,	counting the rows of a table
 *					kms.pepper, kms.audit_key	and adding missing ones
 *	subject			tuple of kms.key that		one attempt of a subject
 *					cannot exist
 *
 * Order, for a call that waits:
 *
 * 1. The table kms.key comes before the tables that belong to it and before
 *	  "making" of the pool, because a call that takes a key from the pool
 *	  changes kms.key next, and DROP EXTENSION locks kms.key first.
 * 2. A row of kms.key comes before "device" of the same key.  With "device"
 *	  held, a row is only tried; if it is busy, "device" is released first.
 * 3. "making" comes after these, and among several first that of the pool,
 *	  then of peppers, then of audit keys.  "subject" is the last one.
 * 4. Workers only try: database, extension, writer, roll-up, start.
 *
 * A transaction of several calls keeps the locks of all of them and can break
 * this order.  If that ends in a deadlock, PostgreSQL ends one transaction.
 *
 * LWLocks are taken after all of these, and none is held while a process
 * waits for one of these.
 */
#ifndef KMS_PG_LOCK_H
#define KMS_PG_LOCK_H

#include "storage/lock.h"

/* The sub-objects of the extension. */
typedef enum KmsExtensionLock
{
	KMS_LOCK_EXTENSION,
	KMS_LOCK_WRITER,
	KMS_LOCK_ROLL_UP,
	KMS_LOCK_START
} KmsExtensionLock;

/* Bytes of a subject's digest that are in its tag. */
#define KMS_LOCK_SUBJECT_SIZE 6

extern void kms_lock_device(LOCKTAG *tag, const char *device_id);
extern void kms_lock_subject(LOCKTAG *tag, const unsigned char *digest);

/*
 * Take the lock of a tag in exclusive mode, and accept what its last holder
 * has committed.  "try" returns false at once if another process holds it,
 * "wait" can be cancelled.  Held until it is released, the transaction ends,
 * or the subtransaction that took it is rolled back.
 */
extern bool kms_lock_try(const LOCKTAG *tag);
extern void kms_lock_wait(const LOCKTAG *tag);
extern void kms_lock_release(const LOCKTAG *tag);

/* The same for the rows of a table that are made one process at a time. */
extern bool kms_lock_making(Oid table, bool wait);

/* Return false at once if another process holds a lock that conflicts. */
extern bool kms_lock_try_extension(Oid extension, KmsExtensionLock which);

/*
 * Return true if a process would have to wait to connect to the database.
 * Call it in a transaction.
 */
extern bool kms_lock_bars_connections(Oid database);

#endif							/* KMS_PG_LOCK_H */
