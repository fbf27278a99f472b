#include <string.h>

#include "crypto/jwe_judge.h"

#include "crypto/base64.h"
#include "crypto/key_wrap.h"

#define AES_BLOCK		16		/* bytes */

/* The curves of ephemeral keys. */
typedef struct CurveRow
{
	KmsKeyType	type;
	const char *kty;
	const char *crv;
	bool		has_y;
} CurveRow;

static const CurveRow curves[] = {
	{KMS_TYPE_EC_P256, "EC", "P-256", true},
	{KMS_TYPE_X25519, "OKP", "X25519", false}
};

#define CURVES (sizeof(curves) / sizeof(curves[0]))

static KmsStatus judge_members(const KmsJweForm *form, KmsJweProblem *problem);
static KmsStatus judge_extensions(const KmsJweForm *form,
								  KmsJweProblem *problem);
static KmsStatus judge_alg(KmsJweForm *form, KmsJweProblem *problem);
static KmsStatus judge_enc(KmsJweForm *form, KmsJweProblem *problem);
static KmsStatus judge_parts(const KmsJweForm *form, KmsJweProblem *problem);
static KmsStatus judge_sizes(const KmsJweForm *form, KmsJweProblem *problem);
static KmsStatus judge_encrypted_key(const KmsJweForm *form,
									 KmsJweProblem *problem);
static KmsStatus judge_agreement(const KmsJweForm *form,
								 KmsJweProblem *problem);
static KmsStatus judge_coordinate(const KmsJsonValue *epk, KmsJwePart part,
								  KmsJweProblem *problem);
static KmsStatus judge_party(const KmsJweForm *form, KmsJwePart part,
							 KmsJweProblem *problem);
static KmsStatus find_string(const KmsJsonValue *object, KmsJwePart part,
							 const char *name, const KmsJsonValue **found,
							 KmsJweProblem *problem);
static const CurveRow *find_curve(const KmsJsonValue *epk);
static bool is_direct(KmsJweAlg alg);
static size_t part_size(const KmsJweForm *form, KmsJwePart part);
static unsigned char *decode_part(const KmsJweForm *form, KmsJwePart part,
								  unsigned char *at, KmsJweBytes *bytes);
static void take_aad(const KmsJweForm *form, unsigned char *at,
					 KmsJweBytes *aad);
static void take_agreement(const KmsJweForm *form, KmsJwe *jwe);
static void decode(KmsText encoded, unsigned char *out, size_t *out_len);

KmsStatus
kms_jwe_judge_form(KmsJweForm *form, KmsJweProblem *problem)
{
	KmsStatus	status = judge_members(form, problem);

	if (status == KMS_OK)
		status = judge_extensions(form, problem);
	if (status == KMS_OK)
		status = judge_alg(form, problem);
	if (status == KMS_OK)
		status = judge_enc(form, problem);
	if (status == KMS_OK)
		status = judge_parts(form, problem);
	if (status == KMS_OK)
		status = judge_sizes(form, problem);
	if (status == KMS_OK)
		status = judge_encrypted_key(form, problem);
	if (status == KMS_OK && kms_jwe_algorithm_digest(form->alg) == KMS_DIGEST_NONE)
		status = judge_agreement(form, problem);
	return status;
}

/* Refuse JSON that has nothing of a JWE. */
static KmsStatus
judge_members(const KmsJweForm *form, KmsJweProblem *problem)
{
	if (form->parts[KMS_PART_PROTECTED].at == NULL &&
		form->parts[KMS_PART_IV].at == NULL &&
		form->parts[KMS_PART_TAG].at == NULL)
		return kms_jwe_problem(problem, KMS_FLAW_OTHER_JSON, KMS_PART_WHOLE);
	return KMS_OK;
}

/* Refuse parameters that would change what the message means. */
static KmsStatus
judge_extensions(const KmsJweForm *form, KmsJweProblem *problem)
{
	if (kms_jwe_form_parameter(form, KMS_PART_CRIT) != NULL)
		return kms_jwe_problem(problem, KMS_FLAW_CRIT, KMS_PART_CRIT);
	if (kms_jwe_form_parameter(form, KMS_PART_ZIP) != NULL)
		return kms_jwe_problem(problem, KMS_FLAW_ZIP, KMS_PART_ZIP);
	return KMS_OK;
}

static KmsStatus
judge_alg(KmsJweForm *form, KmsJweProblem *problem)
{
	const KmsJsonValue *alg = kms_jwe_form_parameter(form, KMS_PART_ALG);

	if (alg == NULL)
		return kms_jwe_problem(problem, KMS_FLAW_MISSING, KMS_PART_ALG);
	if (alg->type != KMS_JSON_STRING)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_STRING, KMS_PART_ALG);
	if (kms_json_value_is(alg, "RSA1_5"))
		return kms_jwe_problem(problem, KMS_FLAW_RSA1_5, KMS_PART_ALG);
	form->alg = kms_jwe_algorithm_alg_by_name(alg->scalar.at, alg->scalar.len);
	if (form->alg == KMS_JWE_ALG_NONE)
		return kms_jwe_problem(problem, KMS_FLAW_ALG, KMS_PART_ALG);
	return KMS_OK;
}

/* "enc" stands in the protected header, and so there is one. */
static KmsStatus
judge_enc(KmsJweForm *form, KmsJweProblem *problem)
{
	const KmsJsonValue *enc = NULL;

	if (form->protected_header != NULL)
		enc = kms_json_value_member(form->protected_header, "enc");
	if (enc == NULL && kms_jwe_form_parameter(form, KMS_PART_ENC) != NULL)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_PROTECTED, KMS_PART_ENC);
	if (enc == NULL)
		return kms_jwe_problem(problem, KMS_FLAW_MISSING, KMS_PART_ENC);
	if (enc->type != KMS_JSON_STRING)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_STRING, KMS_PART_ENC);
	form->enc = kms_jwe_algorithm_enc_by_name(enc->scalar.at, enc->scalar.len);
	if (form->enc == KMS_JWE_ENC_NONE)
		return kms_jwe_problem(problem, KMS_FLAW_ENC, KMS_PART_ENC);
	return KMS_OK;
}

/* The JSON serialization may leave out "encrypted_key" and "aad". */
static KmsStatus
judge_parts(const KmsJweForm *form, KmsJweProblem *problem)
{
	KmsJwePart	part;

	for (part = KMS_PART_ENCRYPTED_KEY; part <= KMS_PART_AAD; part++)
	{
		KmsText		sent = form->parts[part];

		if (sent.at == NULL && (part == KMS_PART_IV ||
								part == KMS_PART_CIPHERTEXT ||
								part == KMS_PART_TAG))
			return kms_jwe_problem(problem, KMS_FLAW_MISSING, part);
		if (!kms_base64_url_valid(sent.at, sent.len))
			return kms_jwe_problem(problem,
								   kms_base64_url_digits(sent.at, sent.len) ?
								   KMS_FLAW_END : KMS_FLAW_NOT_BASE64URL,
								   part);
	}
	return KMS_OK;
}

static KmsStatus
judge_sizes(const KmsJweForm *form, KmsJweProblem *problem)
{
	size_t		iv = part_size(form, KMS_PART_IV);
	size_t		iv_size = kms_jwe_algorithm_iv_size(form->enc);
	size_t		tag = part_size(form, KMS_PART_TAG);
	size_t		tag_size = kms_jwe_algorithm_tag_size(form->enc);
	size_t		content = part_size(form, KMS_PART_CIPHERTEXT);
	bool		is_cbc = kms_jwe_algorithm_is_cbc(form->enc);

	if (iv == AES_BLOCK && !is_cbc)
		return kms_jwe_problem(problem, KMS_FLAW_GCM_IV, KMS_PART_IV);
	if (iv != iv_size)
		return kms_jwe_problem_size(problem, KMS_FLAW_SIZE, KMS_PART_IV, iv,
									iv_size);
	if (tag != tag_size)
		return kms_jwe_problem_size(problem,
									tag < tag_size ? KMS_FLAW_SHORT_TAG :
									KMS_FLAW_SIZE, KMS_PART_TAG, tag, tag_size);
	if (is_cbc && (content == 0 || content % AES_BLOCK != 0))
		return kms_jwe_problem_size(problem, KMS_FLAW_BLOCKS,
									KMS_PART_CIPHERTEXT, content, AES_BLOCK);
	return KMS_OK;
}

/* The size that an RSA key requires is judged with the key. */
static KmsStatus
judge_encrypted_key(const KmsJweForm *form, KmsJweProblem *problem)
{
	size_t		found = part_size(form, KMS_PART_ENCRYPTED_KEY);
	size_t		expected;

	if (is_direct(form->alg))
		return found == 0 ? KMS_OK :
			kms_jwe_problem(problem, KMS_FLAW_NOT_EMPTY,
							KMS_PART_ENCRYPTED_KEY);
	if (form->parts[KMS_PART_ENCRYPTED_KEY].at == NULL)
		return kms_jwe_problem(problem, KMS_FLAW_MISSING,
							   KMS_PART_ENCRYPTED_KEY);
	expected = kms_jwe_algorithm_cek_size(form->enc) + KMS_KEY_WRAP_OVERHEAD;
	if (kms_jwe_algorithm_wrapping_size(form->alg) > 0 && found != expected)
		return kms_jwe_problem_size(problem, KMS_FLAW_SIZE,
									KMS_PART_ENCRYPTED_KEY, found, expected);
	return KMS_OK;
}

/* Judge the parameters of ECDH-ES (RFC 7518, 4.6.1). */
static KmsStatus
judge_agreement(const KmsJweForm *form, KmsJweProblem *problem)
{
	const KmsJsonValue *epk = kms_jwe_form_parameter(form, KMS_PART_EPK);
	const KmsJsonValue *member;
	const CurveRow *curve;
	KmsStatus	status;

	if (epk == NULL)
		return kms_jwe_problem(problem, KMS_FLAW_MISSING, KMS_PART_EPK);
	if (epk->type != KMS_JSON_OBJECT)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_OBJECT, KMS_PART_EPK);
	if (kms_json_value_member(epk, "d") != NULL)
		return kms_jwe_problem(problem, KMS_FLAW_PRIVATE, KMS_PART_EPK_D);
	status = find_string(epk, KMS_PART_EPK_KTY, "kty", &member, problem);
	if (status == KMS_OK)
		status = find_string(epk, KMS_PART_EPK_CRV, "crv", &member, problem);
	if (status != KMS_OK)
		return status;
	curve = find_curve(epk);
	if (curve == NULL)
		return kms_jwe_problem(problem, KMS_FLAW_CURVE, KMS_PART_EPK);
	status = judge_coordinate(epk, KMS_PART_EPK_X, problem);
	if (status == KMS_OK && curve->has_y)
		status = judge_coordinate(epk, KMS_PART_EPK_Y, problem);
	if (status == KMS_OK)
		status = judge_party(form, KMS_PART_APU, problem);
	if (status == KMS_OK)
		status = judge_party(form, KMS_PART_APV, problem);
	return status;
}

static KmsStatus
judge_coordinate(const KmsJsonValue *epk, KmsJwePart part,
				 KmsJweProblem *problem)
{
	const char *name = part == KMS_PART_EPK_X ? "x" : "y";
	const KmsJsonValue *found;
	KmsStatus	status = find_string(epk, part, name, &found, problem);
	size_t		size;

	if (status != KMS_OK)
		return status;
	if (!kms_base64_url_valid(found->scalar.at, found->scalar.len))
		return kms_jwe_problem(problem, KMS_FLAW_NOT_BASE64URL, part);
	size = kms_base64_url_size(found->scalar.len);
	if (size != KMS_COORDINATE_SIZE)
		return kms_jwe_problem_size(problem, KMS_FLAW_SIZE, part, size,
									KMS_COORDINATE_SIZE);
	return KMS_OK;
}

/* Judge "apu" or "apv", which may be missing. */
static KmsStatus
judge_party(const KmsJweForm *form, KmsJwePart part, KmsJweProblem *problem)
{
	const KmsJsonValue *found = kms_jwe_form_parameter(form, part);
	size_t		size;

	if (found == NULL)
		return KMS_OK;
	if (found->type != KMS_JSON_STRING)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_STRING, part);
	if (!kms_base64_url_valid(found->scalar.at, found->scalar.len))
		return kms_jwe_problem(problem, KMS_FLAW_NOT_BASE64URL, part);
	size = kms_base64_url_size(found->scalar.len);
	if (size > KMS_JWE_PARTY_MAX)
		return kms_jwe_problem_size(problem, KMS_FLAW_TOO_LONG, part, size,
									KMS_JWE_PARTY_MAX);
	return KMS_OK;
}

static KmsStatus
find_string(const KmsJsonValue *object, KmsJwePart part, const char *name,
			const KmsJsonValue **found, KmsJweProblem *problem)
{
	*found = kms_json_value_member(object, name);
	if (*found == NULL)
		return kms_jwe_problem(problem, KMS_FLAW_MISSING, part);
	if ((*found)->type != KMS_JSON_STRING)
		return kms_jwe_problem(problem, KMS_FLAW_NOT_STRING, part);
	return KMS_OK;
}

static const CurveRow *
find_curve(const KmsJsonValue *epk)
{
	size_t		i;

	for (i = 0; i < CURVES; i++)
	{
		if (kms_json_value_is(kms_json_value_member(epk, "kty"),
							  curves[i].kty) &&
			kms_json_value_is(kms_json_value_member(epk, "crv"),
							  curves[i].crv))
			return &curves[i];
	}
	return NULL;
}

static bool
is_direct(KmsJweAlg alg)
{
	return kms_jwe_algorithm_digest(alg) == KMS_DIGEST_NONE &&
		kms_jwe_algorithm_wrapping_size(alg) == 0;
}

static size_t
part_size(const KmsJweForm *form, KmsJwePart part)
{
	return kms_base64_url_size(form->parts[part].len);
}

size_t
kms_jwe_judge_size(const KmsJweForm *form)
{
	return part_size(form, KMS_PART_ENCRYPTED_KEY) +
		part_size(form, KMS_PART_IV) +
		part_size(form, KMS_PART_CIPHERTEXT) +
		part_size(form, KMS_PART_TAG) +
		form->parts[KMS_PART_PROTECTED].len + 1 +
		form->parts[KMS_PART_AAD].len;
}

KmsStatus
kms_jwe_judge_key(const KmsJweForm *form, KmsKeyType type, size_t block,
				  unsigned char *buffer, KmsJwe *jwe, KmsJweProblem *problem)
{
	size_t		key_size = part_size(form, KMS_PART_ENCRYPTED_KEY);

	memset(jwe, 0, sizeof(*jwe));
	if (!kms_jwe_algorithm_fits(form->alg, type))
		return kms_jwe_problem(problem, KMS_FLAW_ALG_OF_OTHER_KEY,
							   KMS_PART_ALG);
	if (type == KMS_TYPE_RSA)
	{
		if (key_size != block)
			return kms_jwe_problem_size(problem, KMS_FLAW_SIZE,
										KMS_PART_ENCRYPTED_KEY, key_size,
										block);
	}
	else
	{
		if (find_curve(kms_jwe_form_parameter(form, KMS_PART_EPK))->type !=
			type)
			return kms_jwe_problem(problem, KMS_FLAW_CURVE, KMS_PART_EPK);
		take_agreement(form, jwe);
	}

	jwe->alg = form->alg;
	jwe->enc = form->enc;
	buffer = decode_part(form, KMS_PART_ENCRYPTED_KEY, buffer,
						 &jwe->encrypted_key);
	buffer = decode_part(form, KMS_PART_IV, buffer, &jwe->iv);
	buffer = decode_part(form, KMS_PART_CIPHERTEXT, buffer, &jwe->ciphertext);
	buffer = decode_part(form, KMS_PART_TAG, buffer, &jwe->tag);
	take_aad(form, buffer, &jwe->aad);
	return KMS_OK;
}

/* Decode to "at", and return the end. */
static unsigned char *
decode_part(const KmsJweForm *form, KmsJwePart part, unsigned char *at,
			KmsJweBytes *bytes)
{
	decode(form->parts[part], at, &bytes->len);
	bytes->at = at;
	return at + bytes->len;
}

static void
decode(KmsText encoded, unsigned char *out, size_t *out_len)
{
	kms_base64_url_decode(encoded.at, encoded.len, out);
	*out_len = kms_base64_url_size(encoded.len);
}

/* RFC 7516, 5.1, step 14. */
static void
take_aad(const KmsJweForm *form, unsigned char *at, KmsJweBytes *aad)
{
	KmsText		head = form->parts[KMS_PART_PROTECTED];
	KmsText		tail = form->parts[KMS_PART_AAD];

	memcpy(at, head.at, head.len);
	aad->at = at;
	aad->len = head.len;
	if (tail.at == NULL)
		return;
	at[head.len] = '.';
	memcpy(at + head.len + 1, tail.at, tail.len);
	aad->len += 1 + tail.len;
}

static void
take_agreement(const KmsJweForm *form, KmsJwe *jwe)
{
	const KmsJsonValue *epk = kms_jwe_form_parameter(form, KMS_PART_EPK);
	const KmsJsonValue *apu = kms_jwe_form_parameter(form, KMS_PART_APU);
	const KmsJsonValue *apv = kms_jwe_form_parameter(form, KMS_PART_APV);
	size_t		len;

	decode(kms_json_value_member(epk, "x")->scalar, jwe->epk_x, &len);
	if (find_curve(epk)->has_y)
		decode(kms_json_value_member(epk, "y")->scalar, jwe->epk_y, &len);
	if (apu != NULL)
		decode(apu->scalar, jwe->apu, &jwe->apu_len);
	if (apv != NULL)
		decode(apv->scalar, jwe->apv, &jwe->apv_len);
}
