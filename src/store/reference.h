/*
 * Foreign keys of users' tables that refer to tables of kms.
 *
 * A foreign key that acts on a delete (CASCADE, SET NULL, SET DEFAULT) queues
 * triggers of the referring table for our own DELETE.  There they would run
 * with the extension owner's rights.  So nothing is deleted while there is
 * such a foreign key.  The others (NO ACTION, RESTRICT) are checked by a query
 * that PostgreSQL runs as the referring table's owner.
 *
 * Foreign keys are read as they are now (relation cache, catalog snapshots),
 * because an older snapshot of the caller may not see one that fires.
 *
 * Two kinds are refused when they are made (pg/foreign_key.h): those that act
 * on deletes, and those whose check would run a cast of the referring column's
 * type as the owner of the table referred to.  They may exist all the same,
 * from before or made where the library was not preloaded.
 */
#ifndef KMS_STORE_REFERENCE_H
#define KMS_STORE_REFERENCE_H

/*
 * Keep others from making foreign keys to this table of kms until the end of
 * the transaction.  Return the name and the table of one that acts on deletes,
 * as a palloc'd phrase, or NULL if there is none.
 */
extern char *kms_reference_lock(const char *table);

/* Do the same without the lock, for a report. */
extern char *kms_reference_acting(const char *table);

/*
 * Let deferrable foreign keys to this table of kms report at once, not at
 * commit, that they refer to a row; until the end of the transaction.  Return
 * false, and do nothing, if this transaction has triggers of theirs pending:
 * these would run now, with the extension owner's rights.
 */
extern bool kms_reference_check_now(const char *table);

/* Return the names of the tables that refer to kms.key, or NULL. */
extern char *kms_reference_tables(void);

#endif							/* KMS_STORE_REFERENCE_H */
