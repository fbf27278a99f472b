/*
 * Foreign keys of users' tables that refer to tables of kms.
 *
 * One that acts on a delete (CASCADE, SET NULL, SET DEFAULT) queues triggers
 * of the referring table to our own DELETE, where they would run with the
 * extension owner's rights: so nothing is deleted while there is such a one.
 * The others (NO ACTION, RESTRICT) are checked by a query that PostgreSQL
 * runs as the referring table's owner.
 *
 * What is there is read as it is now (relation cache, catalog snapshots), for
 * an older snapshot of the caller may not see a foreign key that fires.
 *
 * Foreign keys that act on deletes, or whose check would run a cast of the
 * referring column's type as the owner of the table referred to, are refused
 * when they are made (pg/foreign_key.h).  What is found here may be there from
 * before, or made where the library was not preloaded.
 */
#ifndef KMS_STORE_REFERENCE_H
#define KMS_STORE_REFERENCE_H

/*
 * Keep foreign keys to this table of kms from being made until the end of the
 * transaction, and tell the name and table of one that acts on deletes: a
 * palloc'd phrase, or NULL if there is none.
 */
extern char *kms_reference_lock(const char *table);

/* The same for a report, without the lock. */
extern char *kms_reference_acting(const char *table);

/*
 * Let deferrable foreign keys to this table of kms say at once, and not at
 * commit, that they refer to a row; until the end of the transaction.  False,
 * and nothing is done, if this transaction has triggers of theirs pending:
 * those would run now, with the extension owner's rights.
 */
extern bool kms_reference_check_now(const char *table);

/* Names of the tables that refer to kms.key, or NULL. */
extern char *kms_reference_tables(void);

#endif							/* KMS_STORE_REFERENCE_H */
