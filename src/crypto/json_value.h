/*
 * A JSON value (RFC 8259) that has been read: a tree of plain structs.
 *
 * pg/json makes the tree.  All texts are UTF-8.
 */
#ifndef KMS_CRYPTO_JSON_VALUE_H
#define KMS_CRYPTO_JSON_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#define KMS_JSON_DEPTH_MAX	8	/* levels of objects and arrays */

/* A text of "len" bytes without a NUL at its end. */
typedef struct KmsText
{
	const char *at;				/* NULL: there is none */
	size_t		len;
} KmsText;

typedef enum KmsJsonType
{
	KMS_JSON_NULL,
	KMS_JSON_FALSE,
	KMS_JSON_TRUE,
	KMS_JSON_NUMBER,
	KMS_JSON_STRING,
	KMS_JSON_ARRAY,
	KMS_JSON_OBJECT
} KmsJsonType;

typedef struct KmsJsonValue KmsJsonValue;

struct KmsJsonValue
{
	KmsJsonType type;
	KmsText		name;			/* of a member of an object, without escapes */
	KmsText		scalar;			/* a string without escapes, or a number as it
								 * was written */
	KmsJsonValue *first;		/* element of an array, member of an object */
	KmsJsonValue *next;			/* in the same array or object */
};

/*
 * Sort the members of an object by their names.  Return false if two have the
 * same name.  The functions below take sorted objects.
 */
extern bool kms_json_value_sort(KmsJsonValue *object);

/* Return the member with this name, or NULL. */
extern const KmsJsonValue *kms_json_value_member(const KmsJsonValue *object,
												 const char *name);

/*
 * Return true if two objects have a name in common.  Either may be NULL, which
 * has no names.
 */
extern bool kms_json_value_overlap(const KmsJsonValue *a,
								   const KmsJsonValue *b);

/* Return true if the value is a string of these characters. */
extern bool kms_json_value_is(const KmsJsonValue *value, const char *string);

#endif							/* KMS_CRYPTO_JSON_VALUE_H */
