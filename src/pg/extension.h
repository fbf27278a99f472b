/*
 * The objects of the extension, as the catalogs have them.
 */
#ifndef KMS_PG_EXTENSION_H
#define KMS_PG_EXTENSION_H

#include "catalog/objectaddress.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"

/* Return the extension of this database, or InvalidOid. */
extern Oid	kms_extension_oid(void);

/*
 * Return the members of an extension: a list of palloc'd ObjectAddress.  With
 * "just_made", return only those that became members in this transaction.
 */
extern List *kms_extension_members(Oid extension, bool just_made);

/*
 * Return a member that this transaction has made, and the members that it has
 * made after it: a list of palloc'd ObjectAddress.
 */
extern List *kms_extension_members_since(Oid extension,
										 const ObjectAddress *member);

/*
 * Return the schemas and other extensions on which the extension or one of its
 * members depends, directly or indirectly: a list of palloc'd ObjectAddress
 * without duplicates.
 */
extern List *kms_extension_supports(Oid extension);

/* Return the owner of an extension, or InvalidOid if it does not exist. */
extern Oid	kms_extension_owner(Oid extension);

/*
 * Return the owner of an object, or InvalidOid if objects of its kind have
 * none; and its ACL, a palloc'd copy, or NULL if it has the default ACL.
 */
extern Oid	kms_extension_object_owner(const ObjectAddress *object);
extern Acl *kms_extension_object_acl(const ObjectAddress *object);

#endif							/* KMS_PG_EXTENSION_H */
