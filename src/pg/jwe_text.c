#ifndef FRONTEND
#include "postgres.h"
#else
#include "postgres_fe.h"
#endif

#include "pg/jwe_text.h"

#include "pg/json.h"

static KmsStatus read_json(const char *utf8, size_t len, KmsJwePart part,
						   const KmsJsonValue **value, KmsJweProblem *problem);

KmsStatus
kms_jwe_text_read(const char *utf8, size_t len, KmsJweForm *form,
				  KmsJweProblem *problem)
{
	KmsText		trimmed = kms_jwe_form_trim(utf8, len);
	const KmsJsonValue *jwe;
	const KmsJsonValue *header = NULL;
	KmsStatus	status;

	if (kms_jwe_form_kind(trimmed.at, trimmed.len) == KMS_JWE_KIND_JSON)
	{
		status = read_json(trimmed.at, trimmed.len, KMS_PART_WHOLE, &jwe,
						   problem);
		if (status == KMS_OK)
			status = kms_jwe_form_take(jwe, form, problem);
	}
	else
		status = kms_jwe_form_split(trimmed.at, trimmed.len, form, problem);

	if (status == KMS_OK && form->parts[KMS_PART_PROTECTED].at != NULL)
	{
		size_t		size = kms_jwe_form_protected_size(form);
		char	   *decoded = palloc(size);

		status = kms_jwe_form_protected(form, (unsigned char *) decoded,
										problem);
		if (status == KMS_OK)
			status = read_json(decoded, size, KMS_PART_PROTECTED, &header,
							   problem);
	}
	if (status == KMS_OK)
		status = kms_jwe_form_protect(form, header, problem);
	return status;
}

static KmsStatus
read_json(const char *utf8, size_t len, KmsJwePart part,
		  const KmsJsonValue **value, KmsJweProblem *problem)
{
	KmsJweFlaw	flaw = kms_json_read(utf8, len, value);

	if (flaw == KMS_FLAW_NONE)
		return KMS_OK;
	return kms_jwe_problem(problem, flaw, part);
}
