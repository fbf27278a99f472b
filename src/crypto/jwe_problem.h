/*
 * A problem with the form of a JWE: a flaw and the part that has it, but never
 * the content of the part.
 *
 * jwe_problem_list.h has the tables of both.
 */
#ifndef KMS_CRYPTO_JWE_PROBLEM_H
#define KMS_CRYPTO_JWE_PROBLEM_H

#include <stddef.h>

#include "crypto/jwe_problem_list.h"
#include "crypto/status.h"

#define KMS_JWE_FLAW_ENUM(name, message, hint) name,
#define KMS_JWE_PART_ENUM(name, shown) name,

typedef enum KmsJweFlaw
{
	KMS_FLAW_NONE,
	KMS_JWE_FLAW_LIST(KMS_JWE_FLAW_ENUM)
	KMS_FLAW_COUNT
} KmsJweFlaw;

typedef enum KmsJwePart
{
	KMS_PART_WHOLE,				/* the whole text */
	KMS_JWE_PART_LIST(KMS_JWE_PART_ENUM)
	KMS_PART_COUNT
} KmsJwePart;

typedef struct KmsJweProblem
{
	KmsJweFlaw	flaw;
	KmsJwePart	part;
	size_t		found;			/* bytes or parts, if the flaw is a number */
	size_t		expected;
} KmsJweProblem;

/* bytes of a message or a hint with its NUL */
#define KMS_JWE_PROBLEM_SIZE 320

typedef char KmsJweProblemBuffer[KMS_JWE_PROBLEM_SIZE];

/*
 * Fill *problem and return KMS_BAD_FORMAT, so that a check reads "return
 * kms_jwe_problem(problem, …)".  The second one is for numbers.
 */
extern KmsStatus kms_jwe_problem(KmsJweProblem *problem, KmsJweFlaw flaw,
								 KmsJwePart part);
extern KmsStatus kms_jwe_problem_size(KmsJweProblem *problem, KmsJweFlaw flaw,
									  KmsJwePart part, size_t found,
									  size_t expected);

/* Return the name of a part, or "" for the whole text. */
extern const char *kms_jwe_problem_part(KmsJwePart part);

/*
 * Write the message, or the hint.  The problem has a flaw.  A hint is a
 * sentence and names the fix.
 */
extern void kms_jwe_problem_message(const KmsJweProblem *problem,
									KmsJweProblemBuffer message);
extern void kms_jwe_problem_hint(const KmsJweProblem *problem,
								 KmsJweProblemBuffer hint);

#endif							/* KMS_CRYPTO_JWE_PROBLEM_H */
