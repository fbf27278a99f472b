/*
 * JWE whose form has been judged, under fixed keys.
 *
 * Half of the inputs are pieces of any size and content, which must not open
 * (the seeds have tags of zeros, so that no small change of them is right).
 * The others are plaintexts that are encrypted here, and changes of the
 * result: without a change it must open, with one it must not.  The output of
 * a refusal must be wiped.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/jwe.h"
#include "crypto/jwe_encrypt.h"
#include "jwe_vectors.h"

#define CHANGE_SIZE 4			/* bytes of a change in the input */

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Input
{
	const uint8_t *at;
	size_t		len;
} Input;

static uint8_t
take_byte(Input *input)
{
	if (input->len == 0)
		return 0;
	input->len--;
	return *input->at++;
}

/* Take bytes into memory of their very size; what is missing is 0. */
static KmsJweBytes
take_bytes(Input *input, size_t len)
{
	size_t		there = len < input->len ? len : input->len;
	unsigned char *copy = calloc(len > 0 ? len : 1, 1);
	KmsJweBytes bytes = {copy, len};

	if (there > 0)
		memcpy(copy, input->at, there);
	input->at += there;
	input->len -= there;
	return bytes;
}

static void
free_bytes(KmsJweBytes bytes)
{
	free((void *) bytes.at);
}

static KmsKeyPair *
open_key(KmsKeyType type)
{
	static KmsKeyOpener *opener;
	static KmsKeyPair *keys[KMS_TYPE_X25519 + 1];
	size_t		i;

	if (opener == NULL)
		opener = kms_key_pair_opener_new();
	for (i = 0; keys[type] == NULL; i++)
	{
		if (jwe_vectors[i].type == type &&
			kms_key_pair_open_private(opener, type, jwe_vectors[i].key,
									  jwe_vectors[i].key_len,
									  &keys[type]) != KMS_OK)
			abort();
	}
	return keys[type];
}

/* Decrypt to memory of the very size; *out is the caller's. */
static KmsStatus
decrypt(KmsKeyPair *key, const KmsJwe *jwe, unsigned char **out,
		size_t *out_len)
{
	KmsStatus	status;
	size_t		i;

	*out = malloc(jwe->ciphertext.len > 0 ? jwe->ciphertext.len : 1);
	memset(*out, 0xff, jwe->ciphertext.len);
	status = kms_jwe_decrypt(key, jwe, *out, out_len);
	if (status == KMS_OK)
	{
		if (*out_len > jwe->ciphertext.len)
			abort();
		return status;
	}
	if (status != KMS_REJECTED && status != KMS_BAD_FORMAT &&
		status != KMS_BAD_KEY)
		abort();
	for (i = 0; i < jwe->ciphertext.len; i++)
	{
		if ((*out)[i] != 0)
			abort();
	}
	if (*out_len != 0)
		abort();
	return status;
}

static void
try_pieces(KmsKeyPair *key, KmsJwe *jwe, Input *input)
{
	unsigned char *out;
	size_t		out_len;

	jwe->encrypted_key.len = (size_t) take_byte(input) * 2;
	jwe->iv.len = take_byte(input) % 32;
	jwe->tag.len = take_byte(input) % 64;
	jwe->aad.len = take_byte(input);
	jwe->apu_len = take_byte(input) % (KMS_JWE_PARTY_MAX + 2);
	jwe->apv_len = take_byte(input) % (KMS_JWE_PARTY_MAX + 2);
	jwe->encrypted_key = take_bytes(input, jwe->encrypted_key.len);
	jwe->iv = take_bytes(input, jwe->iv.len);
	jwe->tag = take_bytes(input, jwe->tag.len);
	jwe->aad = take_bytes(input, jwe->aad.len);
	jwe->ciphertext = take_bytes(input, input->len);
	if (decrypt(key, jwe, &out, &out_len) == KMS_OK)
		abort();
	free(out);
	free_bytes(jwe->encrypted_key);
	free_bytes(jwe->iv);
	free_bytes(jwe->tag);
	free_bytes(jwe->aad);
	free_bytes(jwe->ciphertext);
}

/*
 * Change a byte of the message.  Return false if that changes nothing: X25519
 * ignores the highest bit of a point.
 */
static bool
change(KmsJweDraft *draft, unsigned char *cipher, size_t len,
	   const uint8_t *how, bool x25519)
{
	struct
	{
		unsigned char *at;
		size_t		len;
	}			parts[] = {
		{draft->encrypted_key, draft->encrypted_key_len},
		{draft->iv, draft->iv_len},
		{draft->tag, draft->tag_len},
		{cipher, len},
		{draft->epk_x, draft->encrypted_key_len > KMS_JWE_CEK_MAX + 8 ? 0 :
		KMS_COORDINATE_SIZE},
	};
	size_t		part = how[0] % (sizeof(parts) / sizeof(parts[0]));
	size_t		at = (size_t) how[1] << 8 | how[2];

	if (parts[part].len == 0)
		return false;
	at %= parts[part].len;
	if (part == 4 && x25519 && at == KMS_COORDINATE_SIZE - 1 &&
		(how[3] & 0x7f) == 0)
		return false;
	parts[part].at[at] ^= how[3];
	return how[3] != 0;
}

static void
try_changes(KmsKeyPair *key, KmsJwe *jwe, Input *input)
{
	bool		x25519 = kms_key_pair_type(key) == KMS_TYPE_X25519;
	bool		changed = take_byte(input) % 2 == 1;
	KmsJweBytes how = take_bytes(input, CHANGE_SIZE);
	KmsJweBytes plain;
	KmsJweDraft draft;
	unsigned char *cipher;
	unsigned char *out;
	size_t		out_len;
	KmsStatus	status;

	jwe->aad = take_bytes(input, take_byte(input));
	plain = take_bytes(input, input->len);
	cipher = malloc(kms_aead_ciphertext_size(jwe->enc, plain.len) + 1);
	if (kms_jwe_encrypt_begin(key, jwe->alg, jwe->enc, &draft) != KMS_OK ||
		kms_jwe_encrypt_finish(&draft, jwe->aad.at, jwe->aad.len, plain.at,
							   plain.len, cipher,
							   &jwe->ciphertext.len) != KMS_OK)
		abort();
	if (changed)
		changed = change(&draft, cipher, jwe->ciphertext.len, how.at, x25519);
	jwe->encrypted_key = (KmsJweBytes)
	{
		draft.encrypted_key, draft.encrypted_key_len
	};
	jwe->iv = (KmsJweBytes)
	{
		draft.iv, draft.iv_len
	};
	jwe->tag = (KmsJweBytes)
	{
		draft.tag, draft.tag_len
	};
	jwe->ciphertext.at = cipher;
	memcpy(jwe->epk_x, draft.epk_x, KMS_COORDINATE_SIZE);
	memcpy(jwe->epk_y, draft.epk_y, KMS_COORDINATE_SIZE);
	jwe->apu_len = 0;
	jwe->apv_len = 0;

	status = decrypt(key, jwe, &out, &out_len);
	if (changed ? status != KMS_REJECTED && status != KMS_BAD_FORMAT :
		status != KMS_OK || out_len != plain.len ||
		memcmp(out, plain.at, plain.len) != 0)
		abort();
	free(out);
	free(cipher);
	free_bytes(how);
	free_bytes(plain);
	free_bytes(jwe->aad);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input		input = {data, size};
	KmsKeyType	type;
	KmsJweBytes bytes;
	KmsJwe		jwe;
	uint8_t		kind;

	memset(&jwe, 0, sizeof(jwe));
	kind = take_byte(&input);
	jwe.alg = (KmsJweAlg) (KMS_RSA_OAEP + kind % 8);
	jwe.enc = (KmsJweEnc) (KMS_A128GCM + take_byte(&input) % 6);
	type = take_byte(&input) % 2 == 0 ? KMS_TYPE_EC_P256 : KMS_TYPE_X25519;
	if (kms_jwe_algorithm_fits(jwe.alg, KMS_TYPE_RSA))
		type = KMS_TYPE_RSA;
	if (kind < 128)
	{
		try_changes(open_key(type), &jwe, &input);
		return 0;
	}
	bytes = take_bytes(&input, sizeof(jwe.epk_x) + sizeof(jwe.epk_y) +
					   sizeof(jwe.apu) + sizeof(jwe.apv));
	memcpy(jwe.epk_x, bytes.at, sizeof(jwe.epk_x));
	memcpy(jwe.epk_y, bytes.at + 32, sizeof(jwe.epk_y));
	memcpy(jwe.apu, bytes.at + 64, sizeof(jwe.apu));
	memcpy(jwe.apv, bytes.at + 128, sizeof(jwe.apv));
	free_bytes(bytes);
	try_pieces(open_key(type), &jwe, &input);
	return 0;
}
