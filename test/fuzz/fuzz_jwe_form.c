/*
 * A JWE of any bytes.  If there is a NUL, the text before it is the protected
 * header, which in base64url replaces each @ behind the NUL, so that the
 * fuzzer sees the header.  A form that is accepted has parts of the lengths
 * that its algorithms require, and a problem has texts.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "arena.h"
#include "crypto/jwe_judge.h"
#include "pg/jwe_text.h"

#define RSA_BLOCK	256
#define AT_MOST		4096		/* bytes of an input */

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
encode_url(const char *in, size_t len, char *out)
{
	char	   *c;

	EVP_EncodeBlock((unsigned char *) out, (const unsigned char *) in,
					(int) len);
	out[strcspn(out, "=")] = '\0';
	for (c = out; *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
}

/* Return the message in malloc'd memory of its very size. */
static char *
make_message(const char *data, size_t size, size_t *len)
{
	const char *nul = memchr(data, '\0', size);
	char	   *encoded;
	char	   *message;
	size_t		i;

	if (nul == NULL)
	{
		message = malloc(size);
		memcpy(message, data, size);
		*len = size;
		return message;
	}
	encoded = malloc(size * 2 + 4);
	encode_url(data, (size_t) (nul - data), encoded);
	message = malloc(size * (strlen(encoded) + 1));
	*len = 0;
	for (i = (size_t) (nul - data) + 1; i < size; i++)
	{
		if (data[i] == '@')
		{
			memcpy(message + *len, encoded, strlen(encoded));
			*len += strlen(encoded);
		}
		else
			message[(*len)++] = data[i];
	}
	free(encoded);
	return message;
}

static void
check_texts(const KmsJweProblem *problem)
{
	KmsJweProblemBuffer message;
	KmsJweProblemBuffer hint;

	if (problem->flaw <= KMS_FLAW_NONE || problem->flaw >= KMS_FLAW_COUNT ||
		problem->part < KMS_PART_WHOLE || problem->part >= KMS_PART_COUNT)
		abort();
	kms_jwe_problem_message(problem, message);
	kms_jwe_problem_hint(problem, hint);
	if (message[0] == '\0' || hint[0] == '\0')
		abort();
}

static void
check_jwe(const KmsJwe *jwe, const KmsJweForm *form, KmsKeyType type,
		  const unsigned char *buffer, size_t size)
{
	size_t		cek = kms_jwe_algorithm_cek_size(jwe->enc);
	size_t		wrapping = kms_jwe_algorithm_wrapping_size(jwe->alg);
	size_t		key = type == KMS_TYPE_RSA ? RSA_BLOCK :
	wrapping > 0 ? cek + 8 : 0;

	if (jwe->alg != form->alg || jwe->enc != form->enc ||
		!kms_jwe_algorithm_fits(jwe->alg, type) ||
		jwe->encrypted_key.len != key ||
		jwe->iv.len != kms_jwe_algorithm_iv_size(jwe->enc) ||
		jwe->tag.len != kms_jwe_algorithm_tag_size(jwe->enc) ||
		jwe->apu_len > KMS_JWE_PARTY_MAX || jwe->apv_len > KMS_JWE_PARTY_MAX)
		abort();
	if (kms_jwe_algorithm_is_cbc(jwe->enc) &&
		(jwe->ciphertext.len == 0 || jwe->ciphertext.len % 16 != 0))
		abort();
	if (jwe->encrypted_key.at != buffer ||
		jwe->aad.at + jwe->aad.len > buffer + size ||
		jwe->aad.len < form->parts[KMS_PART_PROTECTED].len)
		abort();
}

static void
judge(KmsJweForm *form, size_t len)
{
	static const KmsKeyType types[] = {
		KMS_TYPE_RSA, KMS_TYPE_EC_P256, KMS_TYPE_X25519
	};
	KmsJweProblem problem = {0};
	size_t		size;
	size_t		i;

	if (kms_jwe_judge_form(form, &problem) != KMS_OK)
	{
		check_texts(&problem);
		return;
	}
	size = kms_jwe_judge_size(form);
	if (size > len)
		abort();
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		unsigned char *buffer = malloc(size);
		KmsJwe		jwe;

		if (kms_jwe_judge_key(form, types[i], RSA_BLOCK, buffer, &jwe,
							  &problem) == KMS_OK)
			check_jwe(&jwe, form, types[i], buffer, size);
		else
			check_texts(&problem);
		free(buffer);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	KmsJweProblem problem = {0};
	KmsJweForm	form;
	KmsText		kid;
	size_t		len;
	char	   *message;

	if (size > AT_MOST)
		return 0;
	message = make_message((const char *) data, size, &len);
	if (kms_jwe_text_read(message, len, &form, &problem) == KMS_OK)
	{
		if (kms_jwe_form_kid(&form, &kid, &problem) != KMS_OK)
			check_texts(&problem);
		judge(&form, len);
	}
	else
		check_texts(&problem);
	free(message);
	arena_reset();
	return 0;
}
