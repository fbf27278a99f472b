#include <stdio.h>
#include <string.h>

#include "crypto/jwe_problem.h"

typedef struct FlawRow
{
	const char *message;
	const char *hint;
} FlawRow;

#define FLAW_ROW(name, message, hint) [name] = {message, hint},
#define PART_ROW(name, shown) [name] = shown,

static const FlawRow flaws[KMS_FLAW_COUNT] = {
	KMS_JWE_FLAW_LIST(FLAW_ROW)
};

static const char *const parts[KMS_PART_COUNT] = {
	[KMS_PART_WHOLE] = "",
	KMS_JWE_PART_LIST(PART_ROW)
};

static void expand(const char *rest, const KmsJweProblem *problem, char *out);
static void value_of(const char *name, const KmsJweProblem *problem,
					 char *out, size_t size);

KmsStatus
kms_jwe_problem(KmsJweProblem *problem, KmsJweFlaw flaw, KmsJwePart part)
{
	return kms_jwe_problem_size(problem, flaw, part, 0, 0);
}

KmsStatus
kms_jwe_problem_size(KmsJweProblem *problem, KmsJweFlaw flaw, KmsJwePart part,
					 size_t found, size_t expected)
{
	problem->flaw = flaw;
	problem->part = part;
	problem->found = found;
	problem->expected = expected;
	return KMS_BAD_FORMAT;
}

const char *
kms_jwe_problem_part(KmsJwePart part)
{
	return parts[part];
}

void
kms_jwe_problem_message(const KmsJweProblem *problem,
						KmsJweProblemBuffer message)
{
	expand(flaws[problem->flaw].message, problem, message);
}

void
kms_jwe_problem_hint(const KmsJweProblem *problem, KmsJweProblemBuffer hint)
{
	expand(flaws[problem->flaw].hint, problem, hint);
}

/* Copy "rest", with the values of the problem for the names in braces. */
static void
expand(const char *rest, const KmsJweProblem *problem, char *out)
{
	size_t		used = 0;

	out[0] = '\0';
	while (*rest != '\0' && used < KMS_JWE_PROBLEM_SIZE - 1)
	{
		size_t		plain = strcspn(rest, "{");
		size_t		left = KMS_JWE_PROBLEM_SIZE - used;

		if (plain > 0)
		{
			snprintf(out + used, left, "%.*s", (int) plain, rest);
			rest += plain;
		}
		else
		{
			value_of(rest, problem, out + used, left);
			rest += strcspn(rest, "}") + 1;
		}
		used += strlen(out + used);
	}
}

static void
value_of(const char *name, const KmsJweProblem *problem, char *out, size_t size)
{
	const char *part = parts[problem->part];

	if (strncmp(name, "{part}", 6) == 0 && problem->part == KMS_PART_WHOLE)
		snprintf(out, size, "JWE");
	else if (strncmp(name, "{part}", 6) == 0)
		snprintf(out, size, "\"%s\" of the JWE", part);
	else if (strncmp(name, "{name}", 6) == 0)
		snprintf(out, size, "\"%s\"", part);
	else if (strncmp(name, "{found}", 7) == 0)
		snprintf(out, size, "%zu", problem->found);
	else
		snprintf(out, size, "%zu", problem->expected);
}
