#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/self_test.h"

#include "crypto/algorithm.h"
#include "crypto/blind_index.h"
#include "crypto/encoder.h"
#include "crypto/field_value.h"
#include "crypto/jwe.h"
#include "crypto/kdf.h"
#include "crypto/rsa_oaep.h"
#include "crypto/seal.h"
#include "crypto/self_test_data.h"
#include "crypto/wrap.h"
#include "crypto/wrap_fixed.h"
#include "crypto/xaes.h"

#define KNOWN_CONTENT_SIZE	48	/* bytes */
#define JWE_CONTENT_MAX		512 /* bytes */

#define BYTES(array) {array, sizeof(array)}
#define CHARACTERS(string) {(const unsigned char *) string, sizeof(string) - 1}

typedef struct SelfTest
{
	const char *name;
	bool		(*run) (void);
	bool		(*open) (KmsKeyOpener *opener); /* instead, if it needs keys */
} SelfTest;

static bool test_sha256(void);
static bool test_hmac(void);
static bool test_hkdf(void);
static bool test_gcm(void);
static bool test_xaes(void);
static bool test_field_value(void);
static bool test_blind_index(void);
static bool test_wrap(void);
static bool test_seal(void);
static bool test_oaep(KmsKeyOpener *opener);
static bool test_p256_jwe(KmsKeyOpener *opener);
static bool test_x25519_jwe(KmsKeyOpener *opener);

static const SelfTest tests[] = {
	{"SHA-256", test_sha256, NULL},
	{"HMAC-SHA256", test_hmac, NULL},
	{"HKDF-SHA256", test_hkdf, NULL},
	{"AES-256-GCM", test_gcm, NULL},
	{"XAES-256-GCM", test_xaes, NULL},
	{"field value", test_field_value, NULL},
	{"blind index", test_blind_index, NULL},
	{"wrap", test_wrap, NULL},
	{"seal", test_seal, NULL},
	{"RSA-OAEP", NULL, test_oaep},
	{"JWE with P-256", NULL, test_p256_jwe},
	{"JWE with X25519", NULL, test_x25519_jwe}
};

static bool open_gcm(const unsigned char *tag, unsigned char *out);
static bool xaes_gives(unsigned char key_byte, const char *aad,
					   const unsigned char *answer);
static void known_master(KmsMasterKey *master);
static void known_context(KmsWrapContext *context);
static void count_up(unsigned char *out, size_t len, unsigned char first);
static bool oaep_gives(KmsKeyPair *key, const KmsOaep *oaep,
					   const unsigned char *cipher, size_t len);
static bool jwe_gives(KmsKeyOpener *opener, KmsKeyType type,
					  const unsigned char *der, size_t len, KmsJwe *jwe,
					  const unsigned char *hash);

KmsStatus
kms_self_test_run(const char **what)
{
	KmsKeyOpener *opener = kms_key_pair_opener_new();
	size_t		i;

	*what = NULL;
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]) && *what == NULL; i++)
	{
		if (!(tests[i].run != NULL ? tests[i].run() : opener != NULL &&
			  tests[i].open(opener)))
			*what = tests[i].name;
	}
	kms_key_pair_opener_free(opener);
	return *what == NULL ? KMS_OK : KMS_FAILED;
}

/* FIPS 180-4, example of one block */
static bool
test_sha256(void)
{
	static const unsigned char answer[KMS_SHA256_SIZE] = {
		0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
		0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
		0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
		0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad
	};
	unsigned char out[KMS_SHA256_SIZE];

	return kms_sha256("abc", 3, out) &&
		memcmp(out, answer, sizeof(answer)) == 0;
}

/* RFC 4231, test case 2 */
static bool
test_hmac(void)
{
	static const unsigned char key[] = {'J', 'e', 'f', 'e'};
	static const unsigned char answer[KMS_HMAC_SIZE] = {
		0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e,
		0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
		0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83,
		0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43
	};
	unsigned char out[KMS_HMAC_SIZE];

	return kms_kdf_hmac_sha256(key, sizeof(key), "what do ya ", 11,
							   "want for nothing?", 17, out) &&
		memcmp(out, answer, sizeof(answer)) == 0;
}

/* RFC 5869, test case 1, and 3 for the empty salt */
static bool
test_hkdf(void)
{
	static const unsigned char answer_1[42] = {
		0x3c, 0xb2, 0x5f, 0x25, 0xfa, 0xac, 0xd5, 0x7a,
		0x90, 0x43, 0x4f, 0x64, 0xd0, 0x36, 0x2f, 0x2a,
		0x2d, 0x2d, 0x0a, 0x90, 0xcf, 0x1a, 0x5a, 0x4c,
		0x5d, 0xb0, 0x2d, 0x56, 0xec, 0xc4, 0xc5, 0xbf,
		0x34, 0x00, 0x72, 0x08, 0xd5, 0xb8, 0x87, 0x18,
		0x58, 0x65
	};
	static const unsigned char answer_3[42] = {
		0x8d, 0xa4, 0xe7, 0x75, 0xa5, 0x63, 0xc1, 0x8f,
		0x71, 0x5f, 0x80, 0x2a, 0x06, 0x3c, 0x5a, 0x31,
		0xb8, 0xa1, 0x1f, 0x5c, 0x5e, 0xe1, 0x87, 0x9e,
		0xc3, 0x45, 0x4e, 0x5f, 0x3c, 0x73, 0x8d, 0x2d,
		0x9d, 0x20, 0x13, 0x95, 0xfa, 0xa4, 0xb6, 0x1a,
		0x96, 0xc8
	};
	unsigned char key[22];
	unsigned char salt[13];
	unsigned char info[10];
	unsigned char out[42];

	memset(key, 0x0b, sizeof(key));
	count_up(salt, sizeof(salt), 0x00);
	count_up(info, sizeof(info), 0xf0);
	if (!kms_kdf_hkdf_sha256(key, sizeof(key), salt, sizeof(salt),
							 info, sizeof(info), out, sizeof(out)) ||
		memcmp(out, answer_1, sizeof(answer_1)) != 0)
		return false;
	return kms_kdf_hkdf_sha256(key, sizeof(key), NULL, 0, NULL, 0,
							   out, sizeof(out)) &&
		memcmp(out, answer_3, sizeof(answer_3)) == 0;
}

/*
 * NIST's GCM submission (McGrew and Viega), test case 14: key, nonce and
 * plaintext of zeros.  A wrong tag must not open it.
 */
static bool
test_gcm(void)
{
	static const unsigned char good_tag[16] = {
		0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0,
		0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19
	};
	static const unsigned char zeros[16];
	unsigned char bad_tag[16];
	unsigned char out[16];

	memset(out, 0xff, sizeof(out));
	if (!open_gcm(good_tag, out) || memcmp(out, zeros, sizeof(out)) != 0)
		return false;
	memcpy(bad_tag, good_tag, sizeof(bad_tag));
	bad_tag[15] ^= 0x01;
	return !open_gcm(bad_tag, out);
}

static bool
open_gcm(const unsigned char *tag, unsigned char *out)
{
	static const unsigned char cipher[16] = {
		0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e,
		0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18
	};
	static const unsigned char key[32];
	static const unsigned char nonce[12];
	EVP_CIPHER_CTX *ctx;
	bool		ok = false;
	int			len = 0;

	ERR_clear_error();
	ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL)
		goto done;
	if (EVP_DecryptInit_ex2(ctx, EVP_aes_256_gcm(), key, nonce, NULL) != 1)
		goto done;
	if (EVP_DecryptUpdate(ctx, out, &len, cipher, sizeof(cipher)) != 1)
		goto done;
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16,
							(void *) tag) != 1)
		goto done;
	ok = EVP_DecryptFinal_ex(ctx, out + len, &len) == 1;

done:
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static bool
test_xaes(void)
{
	return xaes_gives(0x01, "", xaes_without_aad) &&
		xaes_gives(0x03, xaes_aad, xaes_with_aad);
}

/* A message with a wrong tag must be rejected. */
static bool
xaes_gives(unsigned char key_byte, const char *aad,
		   const unsigned char *answer)
{
	const unsigned char *nonce = (const unsigned char *) xaes_nonce;
	const unsigned char *plain = (const unsigned char *) xaes_plaintext;
	const unsigned char *data = (const unsigned char *) aad;
	size_t		len = strlen(xaes_plaintext);
	unsigned char key[KMS_XAES_KEY_SIZE];
	unsigned char message[sizeof(xaes_with_aad)];
	unsigned char again[sizeof(xaes_plaintext)];
	KmsXaes    *xaes = NULL;
	bool		ok = false;

	memset(key, key_byte, sizeof(key));
	if (kms_xaes_new(key, &xaes) != KMS_OK)
		goto done;
	if (kms_xaes_encrypt(xaes, nonce, data, strlen(aad), plain, len, message,
						 message + len) != KMS_OK ||
		memcmp(message, answer, sizeof(message)) != 0)
		goto done;
	if (kms_xaes_decrypt(xaes, nonce, data, strlen(aad), message, len,
						 message + len, again) != KMS_OK ||
		memcmp(again, plain, len) != 0)
		goto done;
	message[len] ^= 0x01;
	ok = kms_xaes_decrypt(xaes, nonce, data, strlen(aad), message, len,
						  message + len, again) == KMS_REJECTED;

done:
	kms_xaes_free(xaes);
	return ok;
}

/* The key 00 01 … 1f.  With another context the value must be rejected. */
static bool
test_field_value(void)
{
	const unsigned char *context = (const unsigned char *) field_context;
	const unsigned char *plain = (const unsigned char *) field_plaintext;
	size_t		len = strlen(field_plaintext);
	size_t		context_len = strlen(field_context);
	unsigned char key[KMS_XAES_KEY_SIZE];
	unsigned char nonce[KMS_XAES_NONCE_SIZE];
	unsigned char value[sizeof(field_value)];
	unsigned char again[sizeof(field_plaintext)];
	KmsFieldHead head;
	KmsXaes    *xaes = NULL;
	bool		ok = false;

	count_up(key, sizeof(key), 0x00);
	count_up(nonce, sizeof(nonce), 0x40);
	if (kms_xaes_new(key, &xaes) != KMS_OK ||
		kms_field_value_head(field_value, sizeof(field_value),
							 &head) != KMS_OK)
		goto done;
	if (kms_field_value_encrypt(xaes, &head, nonce, context, context_len,
								plain, len, value) != KMS_OK ||
		memcmp(value, field_value, sizeof(value)) != 0)
		goto done;
	if (kms_field_value_decrypt(xaes, value, sizeof(value), context,
								context_len, again) != KMS_OK ||
		memcmp(again, plain, len) != 0)
		goto done;
	ok = kms_field_value_decrypt(xaes, value, sizeof(value), context,
								 context_len - 1, again) == KMS_REJECTED;

done:
	kms_xaes_free(xaes);
	return ok;
}

/* The key 20 21 … 3f */
static bool
test_blind_index(void)
{
	unsigned char key[KMS_BLIND_INDEX_KEY_SIZE];
	unsigned char id[KMS_FIELD_ID_SIZE];
	unsigned char out[KMS_BLIND_INDEX_MAX];

	count_up(key, sizeof(key), 0x20);
	count_up(id, sizeof(id), 0xa0);
	return kms_blind_index(key, id, (const unsigned char *) index_scope,
						   strlen(index_scope), KMS_FOLD_ALNUM,
						   (const unsigned char *) index_text,
						   strlen(index_text), out) == KMS_OK &&
		memcmp(out, index_of_text, sizeof(out)) == 0;
}

static bool
test_wrap(void)
{
	KmsMasterKey master;
	KmsWrapContext context;
	unsigned char salt[KMS_WRAP_SALT_SIZE];
	unsigned char nonce[KMS_WRAP_NONCE_SIZE];
	unsigned char content[KNOWN_CONTENT_SIZE];
	unsigned char again[KNOWN_CONTENT_SIZE];
	unsigned char wrap[sizeof(known_wrap)];
	size_t		len;

	known_master(&master);
	known_context(&context);
	count_up(salt, sizeof(salt), 0x20);
	count_up(nonce, sizeof(nonce), 0x40);
	count_up(content, sizeof(content), 0x50);

	if (kms_wrap_fixed(&master, &context, salt, nonce, content,
					   sizeof(content), wrap, &len) != KMS_OK ||
		len != sizeof(known_wrap) || memcmp(wrap, known_wrap, len) != 0)
		return false;
	if (kms_wrap_open(&master, &context, wrap, sizeof(wrap),
					  again, &len) != KMS_OK ||
		len != sizeof(content) || memcmp(again, content, len) != 0)
		return false;

	wrap[sizeof(wrap) - 1] ^= 0x01;
	return kms_wrap_open(&master, &context, wrap, sizeof(wrap),
						 again, &len) == KMS_NOT_AUTHENTIC;
}

static bool
test_seal(void)
{
	KmsMasterKey master;
	KmsEncoder	row;
	unsigned char data[64];
	unsigned char seal[KMS_SEAL_SIZE];

	known_master(&master);
	kms_encoder_init(&row, data, sizeof(data));
	kms_encoder_text(&row, "row");
	kms_encoder_text(&row, NULL);
	kms_encoder_text(&row, "");
	kms_encoder_int64(&row, INT64_C(1) << 40);

	if (kms_seal(&master, &row, seal) != KMS_OK ||
		memcmp(seal, known_seal, sizeof(seal)) != 0 ||
		kms_seal_verify(&master, &row, seal, sizeof(seal)) != KMS_OK)
		return false;
	seal[sizeof(seal) - 1] ^= 0x01;
	return kms_seal_verify(&master, &row, seal,
						   sizeof(seal)) == KMS_NOT_AUTHENTIC;
}

/* The master key 00 01 … 1f and its fingerprint. */
static void
known_master(KmsMasterKey *master)
{
	memset(master, 0, sizeof(*master));
	count_up(master->key, KMS_MASTER_KEY_SIZE, 0x00);
	memcpy(master->id, kms_wrap_master_key_id(known_wrap, sizeof(known_wrap)),
		   KMS_MASTER_KEY_ID_SIZE);
}

static void
known_context(KmsWrapContext *context)
{
	context->purpose = KMS_PURPOSE_TEST;
	context->key_id = "key_0000000000000_000000000000000000000000";
	context->device_id = "device \303\251";
	context->algorithm = "RSA-2048";
	context->created_at = -1;

	/* A wrong hash would fail the test of the wrap. */
	(void) kms_sha256("public", 6, context->public_hash);
}

static void
count_up(unsigned char *out, size_t len, unsigned char first)
{
	size_t		i;

	for (i = 0; i < len; i++)
		out[i] = (unsigned char) (first + i);
}

static bool
test_oaep(KmsKeyOpener *opener)
{
	KmsKeyPair *key = NULL;
	KmsOaep		sha1 = {KMS_SHA1, KMS_DIGEST_NONE, NULL, 0};
	KmsOaep		sha256 = {KMS_SHA256, KMS_SHA1,
	(const unsigned char *) "label", 5};
	unsigned char out[KMS_RSA_MAX_BLOCK];
	size_t		out_len;
	bool		ok = false;

	if (kms_key_pair_open_private(opener, KMS_TYPE_RSA, test_rsa_key, sizeof(test_rsa_key),
								  &key) != KMS_OK)
		goto done;
	if (!oaep_gives(key, &sha1, oaep_sha1, sizeof(oaep_sha1)))
		goto done;
	if (!oaep_gives(key, &sha256, oaep_sha256_mgf1_sha1,
					sizeof(oaep_sha256_mgf1_sha1)))
		goto done;

	/* A ciphertext for other digests must be rejected. */
	ok = kms_rsa_oaep_decrypt(key, &sha256, oaep_sha1, sizeof(oaep_sha1),
							  out, &out_len) == KMS_REJECTED;

done:
	kms_key_pair_free(key);
	return ok;
}

static bool
oaep_gives(KmsKeyPair *key, const KmsOaep *oaep, const unsigned char *cipher,
		   size_t len)
{
	unsigned char out[KMS_RSA_MAX_BLOCK];
	size_t		out_len;

	return kms_rsa_oaep_decrypt(key, oaep, cipher, len, out, &out_len) == KMS_OK &&
		out_len == strlen(oaep_plaintext) &&
		memcmp(out, oaep_plaintext, out_len) == 0;
}

static bool
test_p256_jwe(KmsKeyOpener *opener)
{
	KmsJwe		jwe = {
		.alg = KMS_ECDH_ES,
		.enc = KMS_A128CBC_HS256,
		.iv = BYTES(p256_jwe_iv),
		.ciphertext = BYTES(p256_jwe_ciphertext),
		.tag = BYTES(p256_jwe_tag),
		.aad = CHARACTERS(p256_jwe_header)
	};

	memcpy(jwe.epk_x, p256_jwe_epk, KMS_COORDINATE_SIZE);
	memcpy(jwe.epk_y, p256_jwe_epk + KMS_COORDINATE_SIZE, KMS_COORDINATE_SIZE);
	return jwe_gives(opener, KMS_TYPE_EC_P256, p256_jwe_key,
					 sizeof(p256_jwe_key), &jwe, p256_jwe_plaintext_hash);
}

static bool
test_x25519_jwe(KmsKeyOpener *opener)
{
	KmsJwe		jwe = {
		.alg = KMS_ECDH_ES_A256KW,
		.enc = KMS_A256GCM,
		.encrypted_key = BYTES(x25519_jwe_encrypted_key),
		.iv = BYTES(x25519_jwe_iv),
		.ciphertext = BYTES(x25519_jwe_ciphertext),
		.tag = BYTES(x25519_jwe_tag),
		.aad = CHARACTERS(x25519_jwe_header)
	};

	if (kms_algorithm_x25519() == NULL)
		return true;
	memcpy(jwe.epk_x, x25519_jwe_epk, KMS_COORDINATE_SIZE);
	return jwe_gives(opener, KMS_TYPE_X25519, x25519_jwe_key,
					 sizeof(x25519_jwe_key), &jwe, x25519_jwe_plaintext_hash);
}

/* A JWE with another header must be rejected. */
static bool
jwe_gives(KmsKeyOpener *opener, KmsKeyType type, const unsigned char *der,
		  size_t len, KmsJwe *jwe, const unsigned char *hash)
{
	KmsKeyPair *key = NULL;
	unsigned char out[JWE_CONTENT_MAX];
	unsigned char found[KMS_SHA256_SIZE];
	size_t		out_len;
	bool		ok = false;

	if (jwe->ciphertext.len > sizeof(out) ||
		kms_key_pair_open_private(opener, type, der, len, &key) != KMS_OK)
		goto done;
	if (kms_jwe_decrypt(key, jwe, out, &out_len) != KMS_OK ||
		!kms_sha256(out, out_len, found) ||
		memcmp(found, hash, KMS_SHA256_SIZE) != 0)
		goto done;
	jwe->aad.len--;
	ok = kms_jwe_decrypt(key, jwe, out, &out_len) == KMS_REJECTED;

done:
	kms_key_pair_free(key);
	return ok;
}
