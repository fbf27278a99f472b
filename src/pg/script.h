/*
 * What a script of the extension needs that SQL cannot do.
 */
#ifndef KMS_PG_SCRIPT_H
#define KMS_PG_SCRIPT_H

/* Raise 55000 unless a script of an extension is running. */
extern void kms_script_require(void);

/*
 * Raise 42P06 if the extension's functions are to be in schema kms, which is
 * that of its tables, or if there is a schema of that name.
 */
extern void kms_script_check_schema(const char *schema);

/*
 * Take every privilege that is not the owner's from what the running script
 * has made, and give the owner all of them, whatever ALTER DEFAULT PRIVILEGES
 * said.
 *
 * This is done by GRANT and REVOKE while the extension is being created, so
 * that pg_init_privs says the same and a dump carries nothing of it.  Objects
 * that were members before this transaction keep what was granted since.
 */
extern void kms_script_close_members(void);

#endif							/* KMS_PG_SCRIPT_H */
