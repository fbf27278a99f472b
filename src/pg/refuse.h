/*
 * Statements that are refused before they lock anything:
 *
 * - A statement that would drop the extension along with other objects (DROP
 *   SCHEMA … CASCADE, DROP OWNED): 2BP01 for every role.  The owner may run
 *   DROP EXTENSION kms.
 * - A statement for which the role does not have the right, if PostgreSQL
 *   locks a table of kms, an index of one, or the extension before it checks
 *   the right: 42501.  All other sessions would wait behind such a lock
 *   request.
 * - CREATE TRIGGER by any role but the owner, whatever was granted, because it
 *   locks the table until the end of its transaction.
 * - REINDEX DATABASE by the owner of the database, because it locks each table
 *   in turn, but not with CONCURRENTLY.
 * - VACUUM FULL: see vacuum_full.h.
 * - CREATE EXTENSION kms SCHEMA kms: 42P06, with a hint.
 */
#ifndef KMS_PG_REFUSE_H
#define KMS_PG_REFUSE_H

/* Install the hooks.  Call it from _PG_init while preloading. */
extern void kms_refuse_install(void);

#endif							/* KMS_PG_REFUSE_H */
