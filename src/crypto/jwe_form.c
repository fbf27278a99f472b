#include <string.h>

#include "crypto/jwe_form.h"

#include "crypto/base64.h"

#define COMPACT_PARTS	5
#define JWS_PARTS		3
#define HEADER_EXAMINED	2048	/* characters of base64url */
#define ENC				"\"enc\":"

static bool is_blank(char c);
static KmsStatus take_text(const KmsJsonValue *object, KmsJwePart part,
						   KmsJweForm *form, KmsJweProblem *problem);
static KmsStatus take_header(const KmsJsonValue *object, KmsJwePart part,
							 const KmsJsonValue **header,
							 KmsJweProblem *problem);
static KmsStatus take_recipient(const KmsJsonValue *jwe,
								const KmsJsonValue **recipient,
								KmsJweProblem *problem);

KmsJweKind
kms_jwe_form_kind(const char *sent, size_t len)
{
	KmsText		trimmed = kms_jwe_form_trim(sent, len);

	if (trimmed.len == 0)
		return KMS_JWE_KIND_NONE;
	if (trimmed.at[0] == '{')
		return KMS_JWE_KIND_JSON;
	return memchr(trimmed.at, '.', trimmed.len) != NULL ?
		KMS_JWE_KIND_COMPACT : KMS_JWE_KIND_NONE;
}

KmsText
kms_jwe_form_trim(const char *sent, size_t len)
{
	KmsText		trimmed;

	while (len > 0 && is_blank(sent[len - 1]))
		len--;
	while (len > 0 && is_blank(*sent))
	{
		sent++;
		len--;
	}
	trimmed.at = sent;
	trimmed.len = len;
	return trimmed;
}

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

KmsStatus
kms_jwe_form_split(const char *sent, size_t len, KmsJweForm *form,
				   KmsJweProblem *problem)
{
	KmsText		rest = {sent, len};
	KmsText		parts[COMPACT_PARTS];
	size_t		count = 0;
	const char *dot;

	memset(form, 0, sizeof(*form));
	if (rest.len == 0)
		return kms_jwe_problem(problem, KMS_FLAW_EMPTY, KMS_PART_WHOLE);
	do
	{
		KmsText		part = rest;

		dot = memchr(rest.at, '.', rest.len);
		if (dot != NULL)
		{
			part.len = (size_t) (dot - rest.at);
			rest.at = dot + 1;
			rest.len -= part.len + 1;
		}
		if (count < COMPACT_PARTS)
			parts[count] = part;
		count++;
	} while (dot != NULL);

	if (count == 1)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_JWE, KMS_PART_WHOLE);
	if (count == JWS_PARTS && !kms_jwe_form_names_enc(parts[0].at, parts[0].len))
		return kms_jwe_problem(problem, KMS_FLAW_JWS, KMS_PART_WHOLE);
	if (count < COMPACT_PARTS)
		return kms_jwe_problem_size(problem, KMS_FLAW_CUT_OFF, KMS_PART_WHOLE,
									count, COMPACT_PARTS);
	if (count != COMPACT_PARTS)
		return kms_jwe_problem(problem, KMS_FLAW_PARTS, KMS_PART_WHOLE);
	memcpy(&form->parts[KMS_PART_PROTECTED], parts, sizeof(parts));
	form->serialization = KMS_JWE_COMPACT;
	return KMS_OK;
}

bool
kms_jwe_form_names_enc(const char *part, size_t len)
{
	unsigned char header[HEADER_EXAMINED / 4 * 3];
	size_t		size;
	size_t		i;

	if (len > HEADER_EXAMINED)
		len = HEADER_EXAMINED;
	if (!kms_base64_url_valid(part, len))
		return false;
	kms_base64_url_decode(part, len, header);
	size = kms_base64_url_size(len);
	for (i = 0; i + strlen(ENC) <= size; i++)
	{
		if (memcmp(header + i, ENC, strlen(ENC)) == 0)
			return true;
	}
	return false;
}

KmsStatus
kms_jwe_form_take(const KmsJsonValue *jwe, KmsJweForm *form,
				  KmsJweProblem *problem)
{
	static const KmsJwePart texts[] = {
		KMS_PART_PROTECTED, KMS_PART_IV, KMS_PART_CIPHERTEXT, KMS_PART_TAG,
		KMS_PART_AAD
	};
	const KmsJsonValue *recipient = jwe;
	KmsStatus	status;
	size_t		i;

	memset(form, 0, sizeof(*form));
	if (jwe->type != KMS_JSON_OBJECT)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_JSON, KMS_PART_WHOLE);
	if (kms_json_value_member(jwe, "ciphertext") == NULL &&
		kms_json_value_member(jwe, "payload") != NULL)
		return kms_jwe_problem(problem, KMS_FLAW_JWS, KMS_PART_WHOLE);

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
	{
		status = take_text(jwe, texts[i], form, problem);
		if (status != KMS_OK)
			return status;
	}
	status = take_header(jwe, KMS_PART_UNPROTECTED, &form->unprotected,
						 problem);
	if (status != KMS_OK)
		return status;

	form->serialization = KMS_JWE_FLATTENED;
	if (kms_json_value_member(jwe, "recipients") != NULL)
	{
		form->serialization = KMS_JWE_GENERAL;
		status = take_recipient(jwe, &recipient, problem);
		if (status != KMS_OK)
			return status;
	}
	status = take_text(recipient, KMS_PART_ENCRYPTED_KEY, form, problem);
	if (status != KMS_OK)
		return status;
	return take_header(recipient, KMS_PART_HEADER, &form->header, problem);
}

static KmsStatus
take_text(const KmsJsonValue *object, KmsJwePart part, KmsJweForm *form,
		  KmsJweProblem *problem)
{
	const KmsJsonValue *member;

	member = kms_json_value_member(object, kms_jwe_problem_part(part));
	if (member == NULL)
		return KMS_OK;
	if (member->type != KMS_JSON_STRING)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_STRING, part);
	form->parts[part] = member->scalar;
	return KMS_OK;
}

static KmsStatus
take_header(const KmsJsonValue *object, KmsJwePart part,
			const KmsJsonValue **header, KmsJweProblem *problem)
{
	*header = kms_json_value_member(object, kms_jwe_problem_part(part));
	if (*header != NULL && (*header)->type != KMS_JSON_OBJECT)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_OBJECT, part);
	return KMS_OK;
}

/* Find the one recipient of the general form. */
static KmsStatus
take_recipient(const KmsJsonValue *jwe, const KmsJsonValue **recipient,
			   KmsJweProblem *problem)
{
	const KmsJsonValue *recipients = kms_json_value_member(jwe, "recipients");

	if (recipients->type != KMS_JSON_ARRAY)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_ARRAY,
							   KMS_PART_RECIPIENTS);
	if (recipients->first == NULL || recipients->first->next != NULL)
		return kms_jwe_problem(problem, KMS_FLAW_RECIPIENTS, KMS_PART_WHOLE);
	if (recipients->first->type != KMS_JSON_OBJECT)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_OBJECT,
							   KMS_PART_RECIPIENT);
	if (kms_json_value_member(jwe, "header") != NULL)
		return kms_jwe_problem(problem, KMS_FLAW_BESIDE, KMS_PART_HEADER);
	if (kms_json_value_member(jwe, "encrypted_key") != NULL)
		return kms_jwe_problem(problem, KMS_FLAW_BESIDE,
							   KMS_PART_ENCRYPTED_KEY);
	*recipient = recipients->first;
	return KMS_OK;
}

size_t
kms_jwe_form_protected_size(const KmsJweForm *form)
{
	return kms_base64_url_size(form->parts[KMS_PART_PROTECTED].len);
}

KmsStatus
kms_jwe_form_protected(const KmsJweForm *form, unsigned char *out,
					   KmsJweProblem *problem)
{
	KmsText		sent = form->parts[KMS_PART_PROTECTED];

	if (!kms_base64_url_valid(sent.at, sent.len))
		return kms_jwe_problem(problem, KMS_FLAW_NOT_BASE64URL,
							   KMS_PART_PROTECTED);
	kms_base64_url_decode(sent.at, sent.len, out);
	return KMS_OK;
}

KmsStatus
kms_jwe_form_protect(KmsJweForm *form, const KmsJsonValue *header,
					 KmsJweProblem *problem)
{
	if (header != NULL && header->type != KMS_JSON_OBJECT)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_OBJECT,
							   KMS_PART_PROTECTED);
	if (kms_json_value_overlap(header, form->unprotected) ||
		kms_json_value_overlap(header, form->header) ||
		kms_json_value_overlap(form->unprotected, form->header))
		return kms_jwe_problem(problem, KMS_FLAW_OVERLAP, KMS_PART_WHOLE);
	form->protected_header = header;
	return KMS_OK;
}

const KmsJsonValue *
kms_jwe_form_parameter(const KmsJweForm *form, KmsJwePart part)
{
	const KmsJsonValue *const headers[] = {
		form->protected_header, form->unprotected, form->header
	};
	const KmsJsonValue *found = NULL;
	size_t		i;

	for (i = 0; found == NULL && i < sizeof(headers) / sizeof(headers[0]); i++)
	{
		if (headers[i] != NULL)
			found = kms_json_value_member(headers[i],
										  kms_jwe_problem_part(part));
	}
	return found;
}

KmsStatus
kms_jwe_form_kid(const KmsJweForm *form, KmsText *kid, KmsJweProblem *problem)
{
	const KmsJsonValue *found = NULL;

	if (form->protected_header != NULL)
		found = kms_json_value_member(form->protected_header, "kid");
	if (found == NULL)
		return kms_jwe_problem(problem,
							   kms_jwe_form_parameter(form, KMS_PART_KID) !=
							   NULL ? KMS_FLAW_NOT_PROTECTED : KMS_FLAW_MISSING,
							   KMS_PART_KID);
	if (found->type != KMS_JSON_STRING)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_STRING, KMS_PART_KID);
	*kid = found->scalar;
	return KMS_OK;
}
