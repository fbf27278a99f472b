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
 * Act with the extension owner's rights and a fixed search_path until left.
 * An error leaves by itself, with the transaction.
 */
extern void kms_owner_enter(KmsOwnerScope *scope);

/* The same with the rights of the bootstrap superuser: see store/spi.h. */
extern void kms_owner_enter_superuser(KmsOwnerScope *scope);
extern void kms_owner_leave(const KmsOwnerScope *scope);

/*
 * Raise unless a scope is entered: SQL in C code writes operators without
 * their schema, which is safe under its search path only.
 */
extern void kms_owner_require(void);

#endif							/* KMS_PG_OWNER_H */
