#include <string.h>

#include "crypto/json_value.h"

static KmsJsonValue *merge(KmsJsonValue *a, KmsJsonValue *b);
static int	compare(KmsText a, KmsText b);
static bool is_text(KmsText value, const char *expected);

/*
 * Merge sort, which needs no memory and takes no more than n log n steps,
 * whatever the names are.  Slot i holds a sorted list of 2^i members, or none.
 */
bool
kms_json_value_sort(KmsJsonValue *object)
{
	KmsJsonValue *slots[8 * sizeof(size_t)] = {NULL};
	KmsJsonValue *sorted = NULL;
	const KmsJsonValue *member;
	size_t		i;

	while (object->first != NULL)
	{
		sorted = object->first;
		object->first = sorted->next;
		sorted->next = NULL;
		for (i = 0; slots[i] != NULL; i++)
		{
			sorted = merge(slots[i], sorted);
			slots[i] = NULL;
		}
		slots[i] = sorted;
	}
	sorted = NULL;
	for (i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		sorted = merge(slots[i], sorted);
	object->first = sorted;

	for (member = sorted; member != NULL && member->next != NULL;
		 member = member->next)
	{
		if (compare(member->name, member->next->name) == 0)
			return false;
	}
	return true;
}

/* Merge two sorted lists. */
static KmsJsonValue *
merge(KmsJsonValue *a, KmsJsonValue *b)
{
	KmsJsonValue *merged = NULL;
	KmsJsonValue **end = &merged;

	while (a != NULL && b != NULL)
	{
		KmsJsonValue **least = compare(a->name, b->name) <= 0 ? &a : &b;

		*end = *least;
		*least = (*least)->next;
		end = &(*end)->next;
	}
	*end = a != NULL ? a : b;
	return merged;
}

/* Shorter names come first. */
static int
compare(KmsText a, KmsText b)
{
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return a.len == 0 ? 0 : memcmp(a.at, b.at, a.len);
}

const KmsJsonValue *
kms_json_value_member(const KmsJsonValue *object, const char *name)
{
	const KmsJsonValue *member;

	for (member = object->first; member != NULL; member = member->next)
	{
		if (is_text(member->name, name))
			return member;
	}
	return NULL;
}

bool
kms_json_value_overlap(const KmsJsonValue *a, const KmsJsonValue *b)
{
	const KmsJsonValue *x = a == NULL ? NULL : a->first;
	const KmsJsonValue *y = b == NULL ? NULL : b->first;

	while (x != NULL && y != NULL)
	{
		int			order = compare(x->name, y->name);

		if (order == 0)
			return true;
		if (order < 0)
			x = x->next;
		else
			y = y->next;
	}
	return false;
}

bool
kms_json_value_is(const KmsJsonValue *value, const char *string)
{
	return value->type == KMS_JSON_STRING && is_text(value->scalar, string);
}

static bool
is_text(KmsText value, const char *expected)
{
	return value.len == strlen(expected) &&
		(value.len == 0 || memcmp(value.at, expected, value.len) == 0);
}
