/*
 * Foreign keys to tables of kms.
 *
 * PostgreSQL looks up the referenced row with the rights of the owner of
 * kms.key, and with the cast that the referring column has.  A foreign key
 * that acts on deletes runs triggers of the referring table within our own
 * DELETE.  So other users' code would run as the extension's owner.  Such
 * foreign keys are refused (42830) when they are created.
 */
#ifndef KMS_PG_FOREIGN_KEY_H
#define KMS_PG_FOREIGN_KEY_H

/* Install the hook.  Call it from _PG_init while preloading. */
extern void kms_foreign_key_install(void);

#endif							/* KMS_PG_FOREIGN_KEY_H */
