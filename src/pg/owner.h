/*
 * Acting with the rights of the extension's owner, under a fixed search path.
 */
#ifndef KMS_PG_OWNER_H
#define KMS_PG_OWNER_H

typedef struct KmsOwnerScope
{
	Oid			user;
	int			security;
	int			settings;
} KmsOwnerScope;

/*
 * Act with the rights of the extension's owner and a fixed search_path, until
 * kms_owner_leave.  An error leaves the scope at the end of the
 * (sub)transaction.
 */
extern void kms_owner_enter(KmsOwnerScope *scope);

/* The same with the rights of the bootstrap superuser: see store/spi.h. */
extern void kms_owner_enter_superuser(KmsOwnerScope *scope);
extern void kms_owner_leave(const KmsOwnerScope *scope);

/*
 * Raise an error unless a scope is entered.  SQL in C code writes operators
 * without their schema, which is safe only under its search path.
 */
extern void kms_owner_require(void);

#endif							/* KMS_PG_OWNER_H */
