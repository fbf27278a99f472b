#include "postgres.h"

#include "pg/version.h"

static unsigned long next_number(const char **version);

int
kms_version_compare(const char *a, const char *b)
{
	while (*a != '\0' || *b != '\0')
	{
		unsigned long of_a = next_number(&a);
		unsigned long of_b = next_number(&b);

		if (of_a != of_b)
			return of_a < of_b ? -1 : 1;
	}
	return 0;
}

/*
 * Return the number at the start of *version, and move *version behind it and
 * its dot, or to the end if nothing follows that is a number.
 */
static unsigned long
next_number(const char **version)
{
	char	   *end;
	unsigned long number;

	if (**version < '0' || **version > '9')
	{
		*version += strlen(*version);
		return 0;
	}
	number = strtoul(*version, &end, 10);
	*version = *end == '.' ? end + 1 : end;
	return number;
}
