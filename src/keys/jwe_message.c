#include "postgres.h"

#include "keys/jwe_message.h"

#include "crypto/jwe_judge.h"
#include "crypto/key_id.h"
#include "pg/encoding.h"
#include "pg/jwe_text.h"

static bool to_utf8(const char *sent, size_t len, const char **utf8,
					size_t *utf8_len);

KmsStatus
kms_jwe_message_read(const char *sent, size_t len, KmsJweForm *form,
					 KmsFault *fault)
{
	KmsJweProblem problem;
	KmsStatus	status;

	/* the compact form is ASCII, and refused if it is not */
	if (kms_jwe_form_kind(sent, len) == KMS_JWE_KIND_JSON &&
		!to_utf8(sent, len, &sent, &len))
		status = kms_jwe_problem(&problem, KMS_FLAW_NOT_UNICODE,
								 KMS_PART_WHOLE);
	else
		status = kms_jwe_text_read(sent, len, form, &problem);
	if (status != KMS_OK)
		return kms_jwe_message_fault(&problem, fault);
	return kms_fault(fault, KMS_OK);
}

KmsStatus
kms_jwe_message_judge(const char *sent, size_t len, KmsJweForm *form,
					  KmsFault *fault)
{
	KmsStatus	status = kms_jwe_message_read(sent, len, form, fault);
	KmsJweProblem problem;

	if (status == KMS_OK && kms_jwe_judge_form(form, &problem) != KMS_OK)
		status = kms_jwe_message_fault(&problem, fault);
	return status;
}

KmsStatus
kms_jwe_message_key_id(const KmsJweForm *form, char **key_id, KmsFault *fault)
{
	KmsJweProblem problem;
	KmsText		kid;

	if (kms_jwe_form_kid(form, &kid, &problem) != KMS_OK)
		return kms_jwe_message_fault(&problem, fault);
	if (!kms_key_id_valid(kid.at, kid.len))
		return kms_fault_ciphertext(fault,
									"\"kid\" of the JWE is not a key id",
									"The client must name the key as \"kid\" of its JWK does.");
	*key_id = pnstrdup(kid.at, kid.len);
	return kms_fault(fault, KMS_OK);
}

static bool
to_utf8(const char *sent, size_t len, const char **utf8, size_t *utf8_len)
{
	KmsEncoding encoding;
	unsigned char *out;
	size_t		room;

	if (kms_encoding_is_ascii(sent, len))
		return true;
	if (!kms_encoding_to_utf8(&encoding))
		return false;
	if (!OidIsValid(encoding.conversion))
		return true;
	room = kms_encoding_room(&encoding, len);
	out = palloc(room);
	if (!kms_encoding_convert(&encoding, (const unsigned char *) sent, len, out,
							  room, utf8_len))
		return false;
	*utf8 = (const char *) out;
	return true;
}

KmsStatus
kms_jwe_message_fault(const KmsJweProblem *problem, KmsFault *fault)
{
	char	   *message = palloc(KMS_JWE_PROBLEM_SIZE);
	char	   *detail = palloc(KMS_JWE_PROBLEM_SIZE);

	kms_jwe_problem_message(problem, message);
	kms_jwe_problem_hint(problem, detail);
	return kms_fault_ciphertext(fault, message, detail);
}
