/*
 * Statements that are refused before they lock anything.
 *
 * One that would drop the extension along with other objects (DROP SCHEMA …
 * CASCADE, DROP OWNED): 2BP01, whoever runs it.  DROP EXTENSION kms, by name,
 * is not refused to the owner.
 *
 * One of a role that does not have the right to it, where PostgreSQL locks a table
 * of kms, an index of one, or the extension, before it looks (42501): behind
 * such a request everybody else would wait.  A trigger is refused to all but
 * the owner, whatever was granted, because it locks the table to the end of
 * its transaction.  So is REINDEX DATABASE to its owner, because it locks each
 * table in turn, but not CONCURRENTLY.  VACUUM FULL: see vacuum_full.h.
 *
 * CREATE EXTENSION kms SCHEMA kms: 42P06, with what to do instead.
 */
#ifndef KMS_PG_REFUSE_H
#define KMS_PG_REFUSE_H

extern void kms_refuse_install(void);

#endif							/* KMS_PG_REFUSE_H */
