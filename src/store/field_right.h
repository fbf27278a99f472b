/*
 * Rights on field keys: functions in schema kms_field that only return true.
 * A role has a right if it has EXECUTE on the function, for example on
 * kms_field."tax/decrypt"(), directly or through a role whose privileges it
 * has, so PostgreSQL's own ACL says who has it.  EXECUTE of PUBLIC does not
 * count.
 *
 * The functions belong to the extension's owner and depend on the extension,
 * but are not members of it, so that pg_dump carries them with their ACL.  A
 * function that is missing, or belongs to another role, grants nothing.
 */
#ifndef KMS_STORE_FIELD_RIGHT_H
#define KMS_STORE_FIELD_RIGHT_H

#include "nodes/pg_list.h"

typedef enum KmsFieldRight
{
	KMS_RIGHT_ENCRYPT,
	KMS_RIGHT_DECRYPT,
	KMS_RIGHT_REFRESH,
	KMS_RIGHT_INDEX
} KmsFieldRight;

#define KMS_FIELD_RIGHTS 4

/* Return "encrypt", "decrypt", …, a static string. */
extern const char *kms_field_right_name(KmsFieldRight right);

/*
 * Return whether the role has the right on a field.  A superuser has all.
 * Takes several look-ups in caches of the catalogs.
 */
extern bool kms_field_right_held(const char *field, KmsFieldRight right,
								 Oid role);

/* Return whether the function of a right exists. */
extern bool kms_field_right_exists(const char *field, KmsFieldRight right);

/*
 * Make the function of a right, which is granted to nobody.  Raise an error if
 * an object of this name exists.
 */
extern void kms_field_right_make(const char *field, KmsFieldRight right);

/*
 * Return a number that changes whenever a right may have been granted or
 * revoked.
 */
extern uint64 kms_field_right_generation(void);

/*
 * Return texts for kms_check(), at most "limit": each role that holds the
 * right "decrypt" on a field and is neither a superuser nor the owner, with
 * the field.
 */
extern List *kms_field_right_holders(int limit);

#endif							/* KMS_STORE_FIELD_RIGHT_H */
