/*
 * The form of a JWE (RFC 7516, 7): its parts as they were sent, and its three
 * headers.
 *
 * How a text becomes a JWE:
 *
 * 1. kms_jwe_form_kind() says which serialization it is, and
 *	  kms_jwe_form_trim() removes the white space around it.
 * 2. kms_jwe_form_split() takes the compact one apart; pg/json reads the JSON
 *	  one, and kms_jwe_form_take() takes that apart.
 * 3. kms_jwe_form_protected() decodes the protected header, pg/json reads it,
 *	  and kms_jwe_form_protect() adds it.
 * 4. kms_jwe_judge_form() and, with the key, kms_jwe_judge_key()
 *	  (crypto/jwe_judge.h) judge the algorithms and the content of the parts.
 *
 * Each step returns KMS_OK, or KMS_BAD_FORMAT with *problem filled.  A form
 * points into the text and the values from which it was made.
 */
#ifndef KMS_CRYPTO_JWE_FORM_H
#define KMS_CRYPTO_JWE_FORM_H

#include "crypto/json_value.h"
#include "crypto/jwe_algorithm.h"
#include "crypto/jwe_problem.h"

/* No text of more bytes is ever read as a JWE. */
#define KMS_JWE_SIZE_MAX	(2 * 1024 * 1024)

typedef enum KmsJweSerialization
{
	KMS_JWE_NO_SERIALIZATION = 0,
	KMS_JWE_COMPACT,
	KMS_JWE_FLATTENED,
	KMS_JWE_GENERAL
} KmsJweSerialization;

typedef enum KmsJweKind
{
	KMS_JWE_KIND_NONE = 0,		/* neither; it may be base64 */
	KMS_JWE_KIND_COMPACT,
	KMS_JWE_KIND_JSON
} KmsJweKind;

typedef struct KmsJweForm
{
	KmsJweSerialization serialization;

	/*
	 * As sent, in base64url: KMS_PART_PROTECTED to KMS_PART_AAD.  "at" is
	 * NULL if a part is missing, which only the JSON serialization allows.
	 */
	KmsText		parts[KMS_PART_AAD + 1];

	/* The three headers; NULL if there is none. */
	const KmsJsonValue *protected_header;
	const KmsJsonValue *unprotected;
	const KmsJsonValue *header;

	/* Filled by kms_jwe_judge_form(). */
	KmsJweAlg	alg;
	KmsJweEnc	enc;
} KmsJweForm;

/*
 * Return what a text is, by its first character and by whether it contains a
 * dot.  White space at either end is ignored.
 */
extern KmsJweKind kms_jwe_form_kind(const char *sent, size_t len);

/*
 * Return the text without white space at either end: space, \t, \n, \v, \f,
 * \r.
 */
extern KmsText kms_jwe_form_trim(const char *sent, size_t len);

/*
 * Return true if the first part of a compact form names "enc", as the header
 * of a JWE does and that of a JWS does not.
 */
extern bool kms_jwe_form_names_enc(const char *part, size_t len);

/*
 * Take a trimmed text apart that is not of the kind JSON.  The text may be in
 * any encoding of which ASCII is a part.
 */
extern KmsStatus kms_jwe_form_split(const char *sent, size_t len,
									KmsJweForm *form, KmsJweProblem *problem);

/* Take the JSON serialization apart. */
extern KmsStatus kms_jwe_form_take(const KmsJsonValue *jwe, KmsJweForm *form,
								   KmsJweProblem *problem);

/*
 * Return the size in bytes of the protected header, which is 0 if there is
 * none; and decode it into "out", which has that size.
 */
extern size_t kms_jwe_form_protected_size(const KmsJweForm *form);
extern KmsStatus kms_jwe_form_protected(const KmsJweForm *form,
										unsigned char *out,
										KmsJweProblem *problem);

/*
 * Add the protected header; "header" is NULL if there is none.  After that, no
 * two headers have a name in common.
 */
extern KmsStatus kms_jwe_form_protect(KmsJweForm *form,
									  const KmsJsonValue *header,
									  KmsJweProblem *problem);

/* Return the parameter of any of the three headers, or NULL. */
extern const KmsJsonValue *kms_jwe_form_parameter(const KmsJweForm *form,
												  KmsJwePart part);

/*
 * Return the "kid" of the protected header, which is to choose the key.  It is
 * a text of any characters.
 */
extern KmsStatus kms_jwe_form_kid(const KmsJweForm *form, KmsText *kid,
								  KmsJweProblem *problem);

#endif							/* KMS_CRYPTO_JWE_FORM_H */
