/*
 * Steps of the extension's scripts that SQL cannot do.
 */
#ifndef KMS_PG_SCRIPT_H
#define KMS_PG_SCRIPT_H

#include "catalog/objectaddress.h"

/* Raise 55000 unless a script of an extension is running. */
extern void kms_script_require(void);

/*
 * Raise 42P06 if the extension's functions would be in schema kms, which is
 * the schema of its tables, or if a schema of that name exists.
 */
extern void kms_script_check_schema(const char *schema);

/*
 * Raise 55000 if the library is older than this version of the SQL: the server
 * was not restarted after a new version was installed.
 */
extern void kms_script_check_library(const char *version);

/*
 * Revoke all privileges on the objects that the running script has made from
 * all roles but the owner, and grant all of them to the owner, whatever ALTER
 * DEFAULT PRIVILEGES said.
 *
 * This is done by GRANT and REVOKE while the extension is being created, so
 * that pg_init_privs has the same and a dump contains nothing of it.  Objects
 * that were members before this transaction keep the privileges that were
 * granted since.
 */
extern void kms_script_close_members(void);

/*
 * Do the same with this function and the members that were made after it, and
 * give them to the owner of the extension: the superuser who runs an update
 * may be another one.
 */
extern void kms_script_close_members_since(Oid function);

/*
 * Revoke all privileges on an object of the current user from everybody but
 * its owner, because default privileges may have granted some.
 */
extern void kms_script_close_object(const ObjectAddress *object);

#endif							/* KMS_PG_SCRIPT_H */
