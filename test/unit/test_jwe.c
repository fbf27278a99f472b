/*
 * JWE of the RFCs and of another implementation, made again with the same
 * numbers; round trips of all algorithms; and every refusal.
 */
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/aead.h"
#include "crypto/ec_generate.h"
#include "crypto/jwe.h"
#include "crypto/jwe_encrypt_fixed.h"
#include "crypto/rsa_oaep.h"
#include "crypto/secure_heap.h"
#include "hex.h"
#include "jwe_vectors.h"
#include "keys.h"
#include "tap.h"

#define BYTES(array) array, sizeof(array)
#define PARTS		5
#define PART_MAX	1024		/* bytes; of a vector */
#define LARGE		(1024 * 1024)	/* bytes */

enum
{
	HEADER, ENCRYPTED_KEY, IV, CIPHERTEXT, TAG
};

static KmsKeyOpener *opener;

/* A JWE with its own bytes. */
typedef struct Message
{
	unsigned char parts[PARTS][PART_MAX];
	KmsJwe		jwe;
	const char *plain;
} Message;

static void
give_up(const char *why)
{
	printf("Bail out! %s\n", why);
	exit(1);
}

static KmsKeyPair *
open_key(KmsKeyType type, const unsigned char *der, size_t len)
{
	KmsKeyPair *key = NULL;

	if (kms_key_pair_open_private(opener, type, der, len, &key) != KMS_OK)
		give_up("a key does not open");
	return key;
}

static KmsKeyPair *
public_half(const KmsKeyPair *key)
{
	unsigned char der[KMS_KEY_PAIR_MAX_PUBLIC];
	KmsKeyPair *half = NULL;
	size_t		len;

	if (kms_key_pair_public_der(key, BYTES(der), &len) != KMS_OK ||
		kms_key_pair_open_public(opener, kms_key_pair_type(key), der, len,
								 &half) != KMS_OK)
		give_up("a public key does not open");
	return half;
}

/* A copy of the very size, so that no byte beyond it is read. */
static KmsJweBytes
copy_of(const KmsJweBytes *bytes)
{
	unsigned char *copy = malloc(bytes->len > 0 ? bytes->len : 1);
	KmsJweBytes result = {copy, bytes->len};

	if (bytes->len > 0)
		memcpy(copy, bytes->at, bytes->len);
	return result;
}

/*
 * Decrypt from and to memory of the very size.  A failure that leaves
 * something behind, and another plaintext, give a status that no test expects.
 */
static KmsStatus
decrypt(KmsKeyPair *key, const KmsJwe *jwe, const void *plain, size_t len)
{
	KmsJwe		copy = *jwe;
	unsigned char *out = malloc(jwe->ciphertext.len > 0 ?
								jwe->ciphertext.len : 1);
	size_t		out_len = 99;
	KmsStatus	status;

	copy.encrypted_key = copy_of(&jwe->encrypted_key);
	copy.iv = copy_of(&jwe->iv);
	copy.ciphertext = copy_of(&jwe->ciphertext);
	copy.tag = copy_of(&jwe->tag);
	copy.aad = copy_of(&jwe->aad);
	memset(out, 0xff, jwe->ciphertext.len);
	status = kms_jwe_decrypt(key, &copy, out, &out_len);
	if (status == KMS_OK && (out_len != len || memcmp(out, plain, len) != 0))
		status = KMS_MISMATCH;
	if (status != KMS_OK && (out_len != 0 ||
							 !is_all(out, jwe->ciphertext.len, 0)))
		status = KMS_UNFINISHED;
	if (ERR_peek_error() != 0)
		status = KMS_UNFINISHED;
	free((void *) copy.encrypted_key.at);
	free((void *) copy.iv.at);
	free((void *) copy.ciphertext.at);
	free((void *) copy.tag.at);
	free((void *) copy.aad.at);
	free(out);
	return status;
}

/* ---- vectors ----------------------------------------------------------- */

static KmsJweBytes
read_part(Message *message, int part, const char **compact)
{
	size_t		len = strcspn(*compact, ".");
	KmsJweBytes bytes = {message->parts[part], 0};

	if (part == HEADER)
	{
		memcpy(message->parts[part], *compact, len);
		bytes.len = len;
	}
	else
		bytes.len = from_base64url(*compact, len,
								   BYTES(message->parts[part]));
	*compact += len + 1;
	return bytes;
}

static void
read_vector(const JweVector *vector, Message *message)
{
	const char *rest = vector->compact;
	KmsJwe	   *jwe = &message->jwe;
	unsigned char point[2 * KMS_COORDINATE_SIZE] = {0};

	memset(message, 0, sizeof(*message));
	jwe->alg = vector->alg;
	jwe->enc = vector->enc;
	jwe->aad = read_part(message, HEADER, &rest);
	jwe->encrypted_key = read_part(message, ENCRYPTED_KEY, &rest);
	jwe->iv = read_part(message, IV, &rest);
	jwe->ciphertext = read_part(message, CIPHERTEXT, &rest);
	jwe->tag = read_part(message, TAG, &rest);
	(void) from_hex(vector->epk, BYTES(point));
	memcpy(jwe->epk_x, point, KMS_COORDINATE_SIZE);
	memcpy(jwe->epk_y, point + KMS_COORDINATE_SIZE, KMS_COORDINATE_SIZE);
	jwe->apu_len = strlen(vector->apu);
	jwe->apv_len = strlen(vector->apv);
	memcpy(jwe->apu, vector->apu, jwe->apu_len);
	memcpy(jwe->apv, vector->apv, jwe->apv_len);
	message->plain = vector->plaintext;
}

static KmsStatus
open_message(KmsKeyPair *key, const Message *message)
{
	return decrypt(key, &message->jwe, message->plain, strlen(message->plain));
}

/* Return how many of the bits, each changed alone, are not rejected. */
static int
count_opened(KmsKeyPair *key, const Message *message, const void *bytes,
			 size_t len, size_t step)
{
	unsigned char *changed = (unsigned char *) bytes;
	int			opened = 0;
	size_t		i;

	for (i = 0; i < 8 * len; i += step)
	{
		changed[i / 8] ^= (unsigned char) (1 << i % 8);
		if (open_message(key, message) != KMS_REJECTED)
			opened++;
		changed[i / 8] ^= (unsigned char) (1 << i % 8);
	}
	return opened;
}

/* Of a bit of the ephemeral key, KMS_BAD_FORMAT is right too. */
static int
count_agreed(KmsKeyPair *key, Message *message, unsigned char *bytes)
{
	int			agreed = 0;
	size_t		i;

	for (i = 0; i < 8 * KMS_COORDINATE_SIZE; i++)
	{
		KmsStatus	status;

		/* X25519 ignores the highest bit */
		if (kms_key_pair_type(key) == KMS_TYPE_X25519 && i == 255)
			continue;
		bytes[i / 8] ^= (unsigned char) (1 << i % 8);
		status = open_message(key, message);
		if (status != KMS_REJECTED && status != KMS_BAD_FORMAT)
			agreed++;
		bytes[i / 8] ^= (unsigned char) (1 << i % 8);
	}
	return agreed;
}

static void
test_vector(const JweVector *vector)
{
	KmsKeyPair *key = open_key(vector->type, vector->key, vector->key_len);
	size_t		step = vector->type == KMS_TYPE_RSA ? 37 : 1;
	Message		message;
	KmsJwe	   *jwe = &message.jwe;

	read_vector(vector, &message);
	check(open_message(key, &message) == KMS_OK, "%s: opens", vector->name);

	check_number(count_opened(key, &message, jwe->aad.at, jwe->aad.len, step) +
				 count_opened(key, &message, jwe->encrypted_key.at,
							  jwe->encrypted_key.len, step) +
				 count_opened(key, &message, jwe->iv.at, jwe->iv.len, step) +
				 count_opened(key, &message, jwe->ciphertext.at,
							  jwe->ciphertext.len, step) +
				 count_opened(key, &message, jwe->tag.at, jwe->tag.len, step) +
				 count_opened(key, &message, jwe->apu, jwe->apu_len, step) +
				 count_opened(key, &message, jwe->apv, jwe->apv_len, step), 0,
				 "with any bit changed it does not");
	if (vector->type != KMS_TYPE_RSA)
		check_number(count_agreed(key, &message, jwe->epk_x), 0,
					 "nor with a bit of the ephemeral key");
	if (vector->type == KMS_TYPE_EC_P256)
		check_number(count_agreed(key, &message, jwe->epk_y), 0,
					 "nor with a bit of its y");
	check(open_message(key, &message) == KMS_OK, "%s: opens still",
		  vector->name);
	kms_key_pair_free(key);
}

/* Make the message of a vector again. */
static void
test_made_again(const JweVector *vector)
{
	KmsKeyPair *key = open_key(vector->type, vector->key, vector->key_len);
	KmsKeyPair *ephemeral = NULL;
	unsigned char cek[KMS_JWE_CEK_MAX];
	unsigned char out[PART_MAX];
	KmsJweDraft draft;
	Message		message;
	KmsJwe	   *jwe = &message.jwe;
	size_t		len = 99;
	bool		same;

	/* the draft has no "apu", and OAEP is random */
	if (vector->type == KMS_TYPE_RSA || vector->apu[0] != '\0' ||
		vector->apv[0] != '\0')
		goto done;
	read_vector(vector, &message);
	if (vector->cek != NULL)
		(void) from_hex(vector->cek, BYTES(cek));
	ephemeral = open_key(vector->type, vector->ephemeral,
						 vector->ephemeral_len);
	check(kms_jwe_encrypt_begin_fixed(key, vector->alg, vector->enc, ephemeral,
									  vector->cek != NULL ? cek : NULL,
									  jwe->iv.at, &draft) == KMS_OK &&
		  kms_jwe_encrypt_finish(&draft, jwe->aad.at, jwe->aad.len,
								 (const unsigned char *) vector->plaintext,
								 strlen(vector->plaintext), out,
								 &len) == KMS_OK, "%s: is made again",
		  vector->name);
	same = draft.encrypted_key_len == jwe->encrypted_key.len &&
		memcmp(draft.encrypted_key, jwe->encrypted_key.at,
			   draft.encrypted_key_len) == 0;
	same = same && draft.iv_len == jwe->iv.len &&
		memcmp(draft.iv, jwe->iv.at, draft.iv_len) == 0;
	same = same && draft.tag_len == jwe->tag.len &&
		memcmp(draft.tag, jwe->tag.at, draft.tag_len) == 0;
	same = same && len == jwe->ciphertext.len &&
		memcmp(out, jwe->ciphertext.at, len) == 0;
	same = same && memcmp(draft.epk_x, jwe->epk_x, KMS_COORDINATE_SIZE) == 0 &&
		memcmp(draft.epk_y, jwe->epk_y, KMS_COORDINATE_SIZE) == 0;
	check(same, "%s: is the same", vector->name);
	check(is_all(BYTES(draft.cek), 0), "%s: leaves no CEK", vector->name);

done:
	kms_key_pair_free(ephemeral);
	kms_key_pair_free(key);
}

/* ---- round trips ------------------------------------------------------- */

static const unsigned char header[] = "a protected header";

/* Encrypt to memory of the very size; *cipher is the caller's. */
static KmsStatus
encrypt(KmsKeyPair *key, KmsJweAlg alg, KmsJweEnc enc,
		const unsigned char *plain, size_t len, KmsJweDraft *draft,
		unsigned char **cipher, KmsJwe *jwe)
{
	size_t		size = kms_aead_ciphertext_size(enc, len);
	KmsStatus	status;

	memset(jwe, 0, sizeof(*jwe));
	*cipher = malloc(size > 0 ? size : 1);
	status = kms_jwe_encrypt_begin(key, alg, enc, draft);
	if (status != KMS_OK)
		return status;
	status = kms_jwe_encrypt_finish(draft, BYTES(header), plain, len, *cipher,
									&jwe->ciphertext.len);
	jwe->alg = alg;
	jwe->enc = enc;
	jwe->encrypted_key.at = draft->encrypted_key;
	jwe->encrypted_key.len = draft->encrypted_key_len;
	jwe->iv.at = draft->iv;
	jwe->iv.len = draft->iv_len;
	jwe->ciphertext.at = *cipher;
	jwe->tag.at = draft->tag;
	jwe->tag.len = draft->tag_len;
	jwe->aad.at = header;
	jwe->aad.len = sizeof(header);
	memcpy(jwe->epk_x, draft->epk_x, KMS_COORDINATE_SIZE);
	memcpy(jwe->epk_y, draft->epk_y, KMS_COORDINATE_SIZE);
	return status;
}

static bool
goes_round(KmsKeyPair *key, KmsKeyPair *half, KmsKeyPair *other,
		   KmsJweAlg alg, KmsJweEnc enc, const unsigned char *plain,
		   size_t len)
{
	unsigned char *cipher;
	KmsJweDraft draft;
	KmsJwe		jwe;
	bool		ok;

	ok = encrypt(half, alg, enc, plain, len, &draft, &cipher, &jwe) == KMS_OK;
	ok = ok && is_all(BYTES(draft.cek), 0) && ERR_peek_error() == 0;
	ok = ok && decrypt(key, &jwe, plain, len) == KMS_OK;
	ok = ok && decrypt(other, &jwe, plain, len) == KMS_REJECTED;
	free(cipher);
	return ok;
}

static void
test_all(KmsKeyPair *key, KmsKeyPair *other, const unsigned char *plain,
		 const char *name)
{
	static const size_t sizes[] = {0, 1, 15, 16, 17, 31, 32, 1000};
	KmsKeyPair *half = public_half(key);
	KmsJweDraft draft;
	int			alg;
	int			enc;
	size_t		i;

	for (alg = KMS_JWE_ALG_NONE; alg <= KMS_ECDH_ES_A256KW; alg++)
	{
		bool		ok = true;

		memset(&draft, 0xff, sizeof(draft));
		if (!kms_jwe_algorithm_fits((KmsJweAlg) alg, kms_key_pair_type(key)))
		{
			check(kms_jwe_encrypt_begin(half, (KmsJweAlg) alg, KMS_A256GCM,
										&draft) == KMS_BAD_KEY &&
				  is_all(&draft, sizeof(draft), 0),
				  "%s: not for algorithm %d", name, alg);
			continue;
		}
		check(kms_jwe_encrypt_begin(half, (KmsJweAlg) alg, KMS_JWE_ENC_NONE,
									&draft) == KMS_BAD_KEY &&
			  is_all(&draft, sizeof(draft), 0), "%s: no enc", name);
		for (enc = KMS_A128GCM; enc <= KMS_A256CBC_HS512; enc++)
		{
			for (i = 0; i < LENGTH_OF(sizes); i++)
				ok = ok && goes_round(key, half, other, (KmsJweAlg) alg,
									  (KmsJweEnc) enc, plain, sizes[i]);
		}
		ok = ok && goes_round(key, half, other, (KmsJweAlg) alg, KMS_A256GCM,
							  plain, LARGE);
		ok = ok && goes_round(key, half, other, (KmsJweAlg) alg,
							  KMS_A256CBC_HS512, plain, LARGE);
		check(ok, "%s, %s: all sizes and encs go round", name,
			  kms_jwe_algorithm_alg_name((KmsJweAlg) alg));
	}
	kms_key_pair_free(half);
}

/* Two messages share neither key, IV nor ephemeral key. */
static void
test_drawn(KmsKeyPair *key, KmsJweAlg alg)
{
	KmsJweDraft a;
	KmsJweDraft b;

	check(kms_jwe_encrypt_begin(key, alg, KMS_A256GCM, &a) == KMS_OK &&
		  kms_jwe_encrypt_begin(key, alg, KMS_A256GCM, &b) == KMS_OK &&
		  memcmp(a.cek, b.cek, 32) != 0 && memcmp(a.iv, b.iv, 12) != 0 &&
		  (kms_key_pair_type(key) == KMS_TYPE_RSA ||
		   memcmp(a.epk_x, b.epk_x, KMS_COORDINATE_SIZE) != 0),
		  "%s: two drafts differ", kms_jwe_algorithm_alg_name(alg));
	check(is_all(a.cek + 32, sizeof(a.cek) - 32, 0),
		  "no more is drawn than needed");
}

/* ---- refusals ---------------------------------------------------------- */

/* A right block with a CEK of another length, which cannot open anything. */
static void
test_block_content(KmsKeyPair *key)
{
	static const size_t sizes[] = {0, 1, 16, 24, 31, 32, 33, 48, 64, 128};
	unsigned char cek[128];
	unsigned char iv[12] = {1};
	unsigned char block[KMS_RSA_MAX_BLOCK];
	unsigned char cipher[5];
	unsigned char tag[KMS_JWE_TAG_MAX];
	KmsOaep		oaep = {KMS_SHA256, KMS_DIGEST_NONE, NULL, 0};
	KmsAead		aead = {KMS_A256GCM, cek, iv, NULL, 0};
	KmsJwe		jwe;
	size_t		len;
	size_t		i;

	if (RAND_bytes(BYTES(cek)) != 1 ||
		kms_aead_encrypt(&aead, (const unsigned char *) "12345", 5, cipher,
						 &len, tag) != KMS_OK)
		give_up("no content");
	memset(&jwe, 0, sizeof(jwe));
	jwe.alg = KMS_RSA_OAEP_256;
	jwe.enc = KMS_A256GCM;
	jwe.encrypted_key.at = block;
	jwe.iv.at = iv;
	jwe.iv.len = sizeof(iv);
	jwe.ciphertext.at = cipher;
	jwe.ciphertext.len = sizeof(cipher);
	jwe.tag.at = tag;
	jwe.tag.len = 16;
	for (i = 0; i < LENGTH_OF(sizes); i++)
	{
		if (kms_rsa_oaep_encrypt(key, &oaep, cek, sizes[i], block,
								 &jwe.encrypted_key.len) != KMS_OK)
			give_up("no block");
		check(decrypt(key, &jwe, "12345", 5) ==
			  (sizes[i] == 32 ? KMS_OK : KMS_REJECTED),
			  "a block with %zu bytes for A256GCM", sizes[i]);
	}
	oaep.mgf1 = KMS_SHA1;
	if (kms_rsa_oaep_encrypt(key, &oaep, cek, 32, block,
							 &jwe.encrypted_key.len) != KMS_OK)
		give_up("no block");
	check(decrypt(key, &jwe, "12345", 5) == KMS_REJECTED,
		  "a block with another MGF1");
	memset(block, 0xff, sizeof(block));
	check(decrypt(key, &jwe, "12345", 5) == KMS_REJECTED,
		  "a number above the modulus");
	memset(block, 0, sizeof(block));
	check(decrypt(key, &jwe, "12345", 5) == KMS_REJECTED, "the number 0");
}

/* The bytes that kms_rsa_oaep_decrypt_or writes. */
static void
test_decrypt_or(KmsKeyPair *key, KmsKeyPair *ec_key)
{
	static const unsigned char plain[] = {1, 2, 3, 4, 5, 6, 7, 8};
	static const unsigned char instead[] = {9, 9, 9, 9, 9, 9, 9, 9, 9};
	KmsOaep		oaep = {KMS_SHA1, KMS_DIGEST_NONE, NULL, 0};
	KmsKeyPair *half = public_half(key);
	unsigned char block[KMS_RSA_MAX_BLOCK];
	unsigned char out[KMS_RSA_MAX_BLOCK + 1];
	size_t		size = kms_key_pair_block_size(key);
	size_t		len;

	if (kms_rsa_oaep_encrypt(key, &oaep, BYTES(plain), block, &len) != KMS_OK)
		give_up("no block");
	memset(out, 0x77, sizeof(out));
	check(kms_rsa_oaep_decrypt_or(key, &oaep, block, len, instead,
								  sizeof(plain), out) == KMS_OK &&
		  memcmp(out, plain, sizeof(plain)) == 0 && out[sizeof(plain)] == 0x77,
		  "the plaintext, if it has the length");
	check(kms_rsa_oaep_decrypt_or(key, &oaep, block, len, instead,
								  sizeof(plain) + 1, out) == KMS_OK &&
		  memcmp(out, instead, sizeof(instead)) == 0,
		  "the other bytes, if it is shorter");
	check(kms_rsa_oaep_decrypt_or(key, &oaep, block, len, instead,
								  sizeof(plain) - 1, out) == KMS_OK &&
		  memcmp(out, instead, sizeof(plain) - 1) == 0,
		  "the other bytes, if it is longer");
	block[size - 1] ^= 1;
	check(kms_rsa_oaep_decrypt_or(key, &oaep, block, len, instead,
								  sizeof(plain), out) == KMS_OK &&
		  memcmp(out, instead, sizeof(plain)) == 0,
		  "the other bytes, if it does not open");
	memset(out, 0x77, sizeof(out));
	check(kms_rsa_oaep_decrypt_or(key, &oaep, block, len - 1, instead,
								  sizeof(plain), out) == KMS_BAD_LENGTH &&
		  is_all(out, sizeof(plain), 0), "a block of another length");
	check(kms_rsa_oaep_decrypt_or(half, &oaep, block, len, instead,
								  sizeof(plain), out) == KMS_BAD_KEY &&
		  kms_rsa_oaep_decrypt_or(ec_key, &oaep, block, len, instead,
								  sizeof(plain), out) == KMS_BAD_KEY,
		  "a public key, and one that is not RSA");
	check(ERR_peek_error() == 0, "no error is left");
	kms_key_pair_free(half);
}

/* A piece of the wrong size never reaches the algorithms. */
static void
test_sizes(const JweVector *vector)
{
	KmsKeyPair *key = open_key(vector->type, vector->key, vector->key_len);
	Message		message;
	KmsJweBytes *parts[] = {
		&message.jwe.encrypted_key, &message.jwe.iv, &message.jwe.tag
	};
	size_t		i;
	bool		ok = true;

	read_vector(vector, &message);
	for (i = 0; i < LENGTH_OF(parts); i++)
	{
		size_t		len = parts[i]->len;

		for (parts[i]->len = 0; parts[i]->len < PART_MAX; parts[i]->len++)
			ok = ok && (parts[i]->len == len ||
						open_message(key, &message) == KMS_BAD_FORMAT);
		parts[i]->len = len;
	}
	check(ok, "%s: a piece of another size", vector->name);

	message.jwe.apu_len = KMS_JWE_PARTY_MAX + 1;
	check(open_message(key, &message) == KMS_BAD_FORMAT,
		  "%s: apu that is too long", vector->name);
	message.jwe.apu_len = 0;
	message.jwe.apv_len = (size_t) -1;
	check(open_message(key, &message) == KMS_BAD_FORMAT,
		  "%s: apv that is too long", vector->name);
	read_vector(vector, &message);
	if (kms_jwe_algorithm_is_cbc(vector->enc))
	{
		ok = true;
		for (i = 1; i < 32; i++)
		{
			message.jwe.ciphertext.len = i;
			ok = ok && open_message(key, &message) ==
				(i == 16 ? KMS_REJECTED : KMS_BAD_FORMAT);
		}
		message.jwe.ciphertext.len = 0;
		check(ok && open_message(key, &message) == KMS_BAD_FORMAT,
			  "%s: content that is no blocks", vector->name);
	}
	else
	{
		message.jwe.ciphertext.len = 0;
		check(open_message(key, &message) == KMS_REJECTED,
			  "%s: content cut off", vector->name);
	}
	kms_key_pair_free(key);
}

/* Every vector with every key, alg and enc but its own. */
static void
test_confused(void)
{
	size_t		i;
	size_t		j;

	for (i = 0; i < LENGTH_OF(jwe_vectors); i++)
	{
		const JweVector *vector = &jwe_vectors[i];
		KmsKeyPair *half;
		KmsKeyPair *key;
		Message		message;
		int			alg;
		bool		ok = true;

		read_vector(vector, &message);
		for (j = 0; j < LENGTH_OF(jwe_vectors); j++)
		{
			const JweVector *other = &jwe_vectors[j];
			KmsStatus	status;

			key = open_key(other->type, other->key, other->key_len);
			status = open_message(key, &message);
			if (other->key == vector->key)
				ok = ok && status == KMS_OK;
			else if (kms_jwe_algorithm_fits(vector->alg, other->type))
				ok = ok && (status == KMS_REJECTED ||
							status == KMS_BAD_FORMAT);
			else
				ok = ok && status == KMS_BAD_KEY;
			kms_key_pair_free(key);
		}
		key = open_key(vector->type, vector->key, vector->key_len);
		for (alg = KMS_JWE_ALG_NONE; alg <= KMS_ECDH_ES_A256KW; alg++)
		{
			KmsStatus	status;

			message.jwe.alg = (KmsJweAlg) alg;
			status = open_message(key, &message);
			if (message.jwe.alg == vector->alg)
				ok = ok && status == KMS_OK;
			else if (kms_jwe_algorithm_fits(message.jwe.alg, vector->type))
				ok = ok && (status == KMS_REJECTED ||
							status == KMS_BAD_FORMAT);
			else
				ok = ok && status == KMS_BAD_KEY;
		}
		message.jwe.alg = vector->alg;
		message.jwe.enc = KMS_JWE_ENC_NONE;
		ok = ok && open_message(key, &message) == KMS_BAD_KEY;
		message.jwe.enc = vector->enc;
		half = public_half(key);
		ok = ok && open_message(half, &message) == KMS_BAD_KEY;
		kms_key_pair_free(half);
		kms_key_pair_free(key);
		check(ok, "%s: other keys and algorithms", vector->name);
	}
}

static void
test_bad_points(const JweVector *vector)
{
	KmsKeyPair *key = open_key(vector->type, vector->key, vector->key_len);
	Message		message;

	read_vector(vector, &message);
	memset(message.jwe.epk_x, 0, KMS_COORDINATE_SIZE);
	memset(message.jwe.epk_y, 0, KMS_COORDINATE_SIZE);
	check(open_message(key, &message) == KMS_BAD_FORMAT,
		  "%s: an ephemeral key of zeros", vector->name);
	message.jwe.epk_x[0] = 1;
	check(open_message(key, &message) == KMS_BAD_FORMAT,
		  "%s: an ephemeral key of 1", vector->name);
	read_vector(vector, &message);
	check(open_message(key, &message) == KMS_OK, "%s: opens after it",
		  vector->name);
	kms_key_pair_free(key);
}

int
main(void)
{
	unsigned char *plain = malloc(LARGE);
	KmsKeyPair *key;
	KmsKeyPair *other;
	size_t		i;
	int			type;

	opener = kms_key_pair_opener_new();
	if (opener == NULL || RAND_bytes(plain, LARGE) != 1)
		give_up("no opener");
	for (i = 0; i < LENGTH_OF(jwe_vectors); i++)
	{
		test_vector(&jwe_vectors[i]);
		test_made_again(&jwe_vectors[i]);
		test_sizes(&jwe_vectors[i]);
		if (jwe_vectors[i].type != KMS_TYPE_RSA)
			test_bad_points(&jwe_vectors[i]);
	}
	test_confused();

	key = open_key(KMS_TYPE_RSA, BYTES(key_2048));
	other = open_key(KMS_TYPE_RSA, jwe_vectors[0].key, jwe_vectors[0].key_len);
	test_all(key, other, plain, "RSA");
	test_drawn(key, KMS_RSA_OAEP_256);
	test_block_content(key);
	kms_key_pair_free(other);
	if (kms_ec_generate(KMS_TYPE_EC_P256, &other) != KMS_OK)
		give_up("no key");
	test_decrypt_or(key, other);
	kms_key_pair_free(key);
	kms_key_pair_free(other);
	for (type = KMS_TYPE_EC_P256; type <= KMS_TYPE_X25519; type++)
	{
		if (kms_ec_generate((KmsKeyType) type, &key) != KMS_OK ||
			kms_ec_generate((KmsKeyType) type, &other) != KMS_OK)
			give_up("no key");
		test_all(key, other, plain, type == KMS_TYPE_X25519 ? "X25519" :
				 "P-256");
		test_drawn(key, KMS_ECDH_ES);
		test_drawn(key, KMS_ECDH_ES_A256KW);
		kms_key_pair_free(key);
		kms_key_pair_free(other);
	}
	kms_key_pair_opener_free(opener);
	free(plain);
	return tap_done();
}
