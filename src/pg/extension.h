/*
 * The objects that the extension consists of, as the catalogs have them.
 */
#ifndef KMS_PG_EXTENSION_H
#define KMS_PG_EXTENSION_H

#include "catalog/objectaddress.h"
#include "nodes/pg_list.h"
#include "utils/acl.h"

/* The extension of this database, or InvalidOid. */
extern Oid	kms_extension_oid(void);

/*
 * The members of an extension: a list of palloc'd ObjectAddress.  With
 * "just_made" only those that became members in this transaction.
 */
extern List *kms_extension_members(Oid extension, bool just_made);

/*
 * The schemas and other extensions without which the extension cannot be:
 * what it or one of its members depends on, and what those depend on.  A list
 * of palloc'd ObjectAddress, no two of them alike.
 */
extern List *kms_extension_supports(Oid extension);

/*
 * The owner of an object, or InvalidOid if objects of its kind have none;
 * and its ACL, a palloc'd copy, or NULL if it has the default one.
 */
extern Oid	kms_extension_object_owner(const ObjectAddress *object);
extern Acl *kms_extension_object_acl(const ObjectAddress *object);

#endif							/* KMS_PG_EXTENSION_H */
