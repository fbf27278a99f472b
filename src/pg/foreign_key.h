/*
 * Foreign keys to tables of kms.
 *
 * PostgreSQL looks up the row that is referred to with the rights of the
 * owner of kms.key, and with whatever cast the referring column has.  A
 * foreign key that acts on deletes runs triggers of the referring table
 * within our own DELETE.  So code of others would run as the extension's
 * owner; such foreign keys are refused (42830) when they are made.
 */
#ifndef KMS_PG_FOREIGN_KEY_H
#define KMS_PG_FOREIGN_KEY_H

extern void kms_foreign_key_install(void);

#endif							/* KMS_PG_FOREIGN_KEY_H */
