/*
 * Questions of the health check to the catalogs about the objects of the
 * extension: their owners, the rights of roles, and what others have attached.
 *
 * The queries run with the rights of the bootstrap superuser, because the
 * extension's owner may not have enough.  They read nothing but catalogs.
 * Names are quoted where SQL needs it.
 */
#ifndef KMS_STORE_MEMBER_H
#define KMS_STORE_MEMBER_H

#include "nodes/pg_list.h"

typedef enum KmsMemberQuestion
{
	/* roles that own the extension or a part of it and are not superusers */
	KMS_MEMBER_OWNERS,
	/* roles that may write a table or sequence, with its name */
	KMS_MEMBER_WRITERS,
	/* roles that may attach a trigger to a table */
	KMS_MEMBER_TRIGGERERS,
	/* roles that may call every function */
	KMS_MEMBER_ALL_FUNCTIONS,

	/*
	 * Roles that may call a function that only the owner should, with its
	 * name.
	 */
	KMS_MEMBER_DANGEROUS,
	/* functions other than kms_version() that PUBLIC may call */
	KMS_MEMBER_PUBLIC,
	/* roles that may create objects in our schemas, with the schema */
	KMS_MEMBER_CREATORS,
	/* triggers, rules, policies, row security, and tables that inherit */
	KMS_MEMBER_ATTACHED,
	/* foreign keys whose check casts, or that refer to another table */
	KMS_MEMBER_CASTING_KEYS,

	/*
	 * constraints, defaults, indexes, columns and views that use objects of
	 * others
	 */
	KMS_MEMBER_FOREIGN_CODE,
	KMS_MEMBER_DROPPED_COLUMNS,
	KMS_MEMBER_UNLOGGED,
	/* tables that autovacuum skips */
	KMS_MEMBER_UNVACUUMED
} KmsMemberQuestion;

/*
 * Return the answers as texts, at most KMS_MEMBER_MAX, in the caller's memory
 * context.  PUBLIC stands for itself and for all roles with no more rights
 * than PUBLIC.
 */
#define KMS_MEMBER_MAX	11

extern List *kms_member_ask(KmsMemberQuestion question);

/* Return the version of the extension's SQL. */
extern char *kms_member_version(void);

#endif							/* KMS_STORE_MEMBER_H */
