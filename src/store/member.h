/*
 * Questions that the health check asks the catalogs about the objects of the
 * extension: who owns them, who may do what with them, and what others have
 * attached to them.
 *
 * They are asked with the rights of the bootstrap superuser, because the
 * extension's owner may not have enough; nothing but catalogs is read with
 * them.  Names are quoted where SQL needs it.
 */
#ifndef KMS_STORE_MEMBER_H
#define KMS_STORE_MEMBER_H

#include "nodes/pg_list.h"

typedef enum KmsMemberQuestion
{
	/* roles that own the extension or a part of it and are no superusers */
	KMS_MEMBER_OWNERS,
	/* roles that may write a table or sequence, with its name */
	KMS_MEMBER_WRITERS,
	/* roles that may attach a trigger to a table */
	KMS_MEMBER_TRIGGERERS,
	/* roles that may call every function */
	KMS_MEMBER_ALL_FUNCTIONS,
	/* roles that may call a function that only the owner should, with it */
	KMS_MEMBER_DANGEROUS,
	/* functions that PUBLIC may call and not only kms_version() */
	KMS_MEMBER_PUBLIC,
	/* roles that may create objects beside ours, with the schema */
	KMS_MEMBER_CREATORS,
	/* triggers, rules, policies, tables that inherit, row security */
	KMS_MEMBER_ATTACHED,
	/* foreign keys whose check casts, or which refer to another table */
	KMS_MEMBER_CASTING_KEYS,

	/*
	 * constraints, defaults, indexes, columns and views that use objects of
	 * others
	 */
	KMS_MEMBER_FOREIGN_CODE,
	KMS_MEMBER_DROPPED_COLUMNS,
	KMS_MEMBER_UNLOGGED,
	/* tables that autovacuum leaves alone */
	KMS_MEMBER_UNVACUUMED
} KmsMemberQuestion;

/*
 * Texts, at most KMS_MEMBER_MAX, in the caller's memory context; PUBLIC
 * stands for itself and for all roles that have nothing but what it has.
 */
#define KMS_MEMBER_MAX	11

extern List *kms_member_ask(KmsMemberQuestion question);

/* The version of the extension's SQL. */
extern char *kms_member_version(void);

#endif							/* KMS_STORE_MEMBER_H */
