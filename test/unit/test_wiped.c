/*
 * Memory that is freed holds no private number, its base64, agreed secret,
 * CEK, padded block, field key or what is derived from it, or plaintext.
 * OpenSSL's allocations go through functions of this program, which must be
 * set before the first one.
 *
 * There is one exception, which SECURITY.md names: OpenSSL's multiplication on
 * P-256 copies the private number, little-endian, to a block of 33 bytes, and
 * frees it as it is (ecp_nistz256_windowed_mul in ecp_nistz256.c).
 */
#include <malloc.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/rsa.h>

#include "crypto/blind_index.h"
#include "crypto/ec_generate.h"
#include "crypto/ecdh.h"
#include "crypto/jwe.h"
#include "crypto/jwe_encrypt_fixed.h"
#include "crypto/key_pair_struct.h"
#include "crypto/rsa_oaep.h"
#include "crypto/xaes.h"
#include "hex.h"
#include "jwe_vectors.h"
#include "pem.h"
#include "tap.h"

#define SECRETS		8
#define PIECE		16			/* bytes of a secret that are looked for */
#define PART_MAX	1024		/* bytes */
#define SCALAR_BLOCK 40			/* bytes; 33 rounded up */
#define AGREEMENTS	6			/* with a known private number, in use() */
#define NUMBER_AT(type) ((type) == KMS_TYPE_EC_P256 ? 36 : 16)

static unsigned char secrets[SECRETS][PIECE];
static int	secret_count = 0;
static int	found = 0;
static int	excepted = 0;
static int	looked_at = 0;

static void
look_for(const unsigned char *secret)
{
	if (secret_count == SECRETS)
		exit(2);
	memcpy(secrets[secret_count++], secret, PIECE);
}

static void
look_into(const void *block)
{
	size_t		size = malloc_usable_size((void *) block);
	int			i;

	looked_at++;
	for (i = 0; i < secret_count; i++)
	{
		if (memmem(block, size, secrets[i], PIECE) == NULL)
			continue;
		if (size <= SCALAR_BLOCK && memcmp(block, secrets[i], PIECE) == 0)
			excepted++;
		else
			found++;
	}
}

static void *
allocate(size_t size, const char *file, int line)
{
	(void) file;
	(void) line;
	return malloc(size);
}

static void
release(void *block, const char *file, int line)
{
	(void) file;
	(void) line;
	if (block != NULL)
		look_into(block);
	free(block);
}

static void *
reallocate(void *block, size_t size, const char *file, int line)
{
	size_t		old_size = block == NULL ? 0 : malloc_usable_size(block);
	void	   *copy;

	if (size == 0)
	{
		release(block, file, line);
		return NULL;
	}
	copy = malloc(size);
	if (copy != NULL && block != NULL)
	{
		memcpy(copy, block, old_size < size ? old_size : size);
		release(block, file, line);
	}
	return copy;
}

static void
reverse(const unsigned char *in, unsigned char *out, size_t len)
{
	size_t		i;

	for (i = 0; i < len; i++)
		out[i] = in[len - 1 - i];
}

static void
look_for_number(KmsKeyType type, const unsigned char *der)
{
	unsigned char number[KMS_COORDINATE_SIZE];

	look_for(der + NUMBER_AT(type));
	reverse(der + NUMBER_AT(type), number, sizeof(number));
	look_for(number);
}

/* Two pieces of its base64, neither of which a line of PEM breaks. */
static void
look_for_base64(KmsKeyType type, const unsigned char *der)
{
	unsigned char text[2 * PIECE + 1];

	(void) EVP_EncodeBlock(text, der + (NUMBER_AT(type) + 2) / 3 * 3,
						   2 * PIECE / 4 * 3);
	look_for(text);
	look_for(text +PIECE);
}

static void
start(void)
{
	secret_count = 0;
	found = 0;
	excepted = 0;
	looked_at = 0;
}

static KmsKeyPair *
open_key(KmsKeyType type, const unsigned char *der, size_t len)
{
	KmsKeyPair *key = NULL;

	look_for_number(type, der);
	if (kms_key_pair_open_private(opener, type, der, len, &key) != KMS_OK)
	{
		printf("Bail out! a key does not open\n");
		exit(1);
	}
	return key;
}

/* An import agrees with nobody, so there is no exception. */
static void
import(const JweVector *vector)
{
	char	   *pem = new_pem("PRIVATE KEY", vector->key, vector->key_len);
	KmsKeyPair *key;

	start();
	look_for_number(vector->type, vector->key);
	look_for_base64(vector->type, vector->key);
	key = take(pem, vector->name);
	kms_key_pair_free(key);
	check(looked_at > 5, "%s: %d blocks are freed", vector->name, looked_at);
	check_number(found + excepted, 0, "no number of an imported key is left");
	free(pem);
}

static void
use(const JweVector *vector)
{
	KmsKeyPair *key;
	KmsKeyPair *ephemeral;
	KmsJweDraft draft;
	KmsJwe		jwe;
	unsigned char cek[KMS_JWE_CEK_MAX];
	unsigned char secret[KMS_ECDH_SIZE];
	unsigned char der[KMS_KEY_PAIR_MAX_PRIVATE];
	unsigned char iv[KMS_JWE_IV_MAX] = {1};
	unsigned char cipher[PART_MAX];
	unsigned char out[PART_MAX];
	const unsigned char *plain = (const unsigned char *) vector->plaintext;
	size_t		cipher_len;
	size_t		len;
	bool		ok;

	start();
	look_for(plain);
	if (vector->cek != NULL)
	{
		(void) from_hex(vector->cek, BYTES(cek));
		look_for(cek);
		look_for(cek + kms_jwe_algorithm_cek_size(vector->enc) / 2);
	}
	key = open_key(vector->type, vector->key, vector->key_len);
	ephemeral = open_key(vector->type, vector->ephemeral,
						 vector->ephemeral_len);
	ok = kms_jwe_encrypt_begin_fixed(key, vector->alg, vector->enc, ephemeral,
									 cek, iv, &draft) == KMS_OK;
	ok = ok && kms_ecdh_agree(key, draft.epk_x, draft.epk_y,
							  secret) == KMS_OK;
	look_for(secret);
	ok = ok && kms_ecdh_agree(key, draft.epk_x, draft.epk_y,
							  secret) == KMS_OK;
	ok = ok && kms_jwe_encrypt_finish(&draft, NULL, 0, plain,
									  strlen(vector->plaintext), cipher,
									  &cipher_len) == KMS_OK;
	memset(&jwe, 0, sizeof(jwe));
	jwe.alg = vector->alg;
	jwe.enc = vector->enc;
	jwe.encrypted_key = (KmsJweBytes)
	{
		draft.encrypted_key, draft.encrypted_key_len
	};
	jwe.iv = (KmsJweBytes)
	{
		draft.iv, draft.iv_len
	};
	jwe.ciphertext = (KmsJweBytes)
	{
		cipher, cipher_len
	};
	jwe.tag = (KmsJweBytes)
	{
		draft.tag, draft.tag_len
	};
	memcpy(jwe.epk_x, draft.epk_x, sizeof(jwe.epk_x));
	memcpy(jwe.epk_y, draft.epk_y, sizeof(jwe.epk_y));
	ok = ok && kms_jwe_decrypt(key, &jwe, out, &len) == KMS_OK;
	cipher[0] ^= 1;
	ok = ok && kms_jwe_decrypt(key, &jwe, out, &len) == KMS_REJECTED;
	ok = ok && kms_key_pair_private_der(key, BYTES(der), &len) == KMS_OK;
	ok = ok && kms_ec_generate_check_pair(key) == KMS_OK;
	kms_key_pair_free(key);
	kms_key_pair_free(ephemeral);
	check(ok && looked_at > 20, "%s: %d blocks are freed", vector->name,
		  looked_at);
	check_number(found, 0, "no secret is left in them");
	check(excepted <= (vector->type == KMS_TYPE_EC_P256 ? AGREEMENTS : 0),
		  "%s: %d exceptions", vector->name, excepted);
}

/*
 * The padded block, off which anybody can take the padding.  Find it first by
 * the private operation, with its output in memory that is not freed.
 */
static void
use_block(const JweVector *vector)
{
	static const unsigned char plain[] = "4711 is nobody's PIN";
	KmsOaep		oaep = {KMS_SHA256, KMS_SHA1, NULL, 0};
	unsigned char instead[sizeof(plain)] = {0};
	unsigned char block[KMS_RSA_MAX_BLOCK];
	unsigned char padded[KMS_RSA_MAX_BLOCK];
	unsigned char out[KMS_RSA_MAX_BLOCK];
	EVP_PKEY_CTX *ctx = NULL;
	KmsKeyPair *key = NULL;
	size_t		block_len;
	size_t		len = sizeof(padded);
	bool		ok;

	secret_count = 0;
	found = 0;
	ok = kms_key_pair_open_private(opener, KMS_TYPE_RSA, vector->key,
								   vector->key_len, &key) == KMS_OK &&
		kms_rsa_oaep_encrypt(key, &oaep, BYTES(plain), block,
							 &block_len) == KMS_OK;
	if (ok)
		ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	ok = ok && EVP_PKEY_decrypt_init(ctx) == 1 &&
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1 &&
		EVP_PKEY_decrypt(ctx, padded, &len, block, block_len) == 1;
	EVP_PKEY_CTX_free(ctx);
	look_for(plain);
	look_for(padded + 1);
	look_for(padded + 100);
	ok = ok && kms_rsa_oaep_decrypt(key, &oaep, block, block_len, out,
									&len) == KMS_OK && len == sizeof(plain);
	ok = ok && kms_rsa_oaep_decrypt_or(key, &oaep, block, block_len, instead,
									   sizeof(instead), out) == KMS_OK &&
		memcmp(out, plain, sizeof(plain)) == 0;
	oaep.digest = KMS_SHA1;
	ok = ok && kms_rsa_oaep_decrypt(key, &oaep, block, block_len, out,
									&len) == KMS_REJECTED;
	kms_key_pair_free(key);
	check(ok, "a block is opened, and not with another digest");
	check_number(found, 0, "no padded block is left in freed memory");
}

/*
 * The second vector of XAES's specification, which has L, K1 and the derived
 * key.  Encrypt, decrypt and reject before the memory is freed.
 */
static void
use_xaes(void)
{
	static const char *const derived[] = {
		"91c08762876dccf9ba204a33768fa5fe",
		"23810ec50edb99f374409466ed1f4b7b",
		"e9c621d4cdd9b11b00a6427ad7e559ae",
		"edd66b3857646677748f8ca796cb3fd8"
	};
	static const unsigned char nonce[] = "ABCDEFGHIJKLMNOPQRSTUVWX";
	static const unsigned char plain[] = "4711 is nobody's tax id";
	unsigned char key[KMS_XAES_KEY_SIZE];
	unsigned char secret[PIECE];
	unsigned char cipher[sizeof(plain)];
	unsigned char out[sizeof(plain)];
	unsigned char tag[KMS_XAES_TAG_SIZE];
	KmsXaes    *xaes = NULL;
	bool		ok;
	size_t		i;

	start();
	memset(key, 0x03, sizeof(key));
	look_for(key);
	look_for(plain);
	for (i = 0; i < LENGTH_OF(derived); i++)
	{
		(void) from_hex(derived[i], BYTES(secret));
		look_for(secret);
	}
	ok = kms_xaes_new(key, &xaes) == KMS_OK;
	ok = ok && kms_xaes_encrypt(xaes, nonce, NULL, 0, BYTES(plain), cipher,
								tag) == KMS_OK;
	ok = ok && kms_xaes_decrypt(xaes, nonce, NULL, 0, BYTES(cipher), tag,
								out) == KMS_OK;
	tag[0] ^= 1;
	ok = ok && kms_xaes_decrypt(xaes, nonce, NULL, 0, BYTES(cipher), tag,
								out) == KMS_REJECTED;
	kms_xaes_free(xaes);
	check(ok && looked_at >= 5, "XAES: %d blocks are freed", looked_at);
	check_number(found + excepted, 0,
				 "no field key or derived key is left in them");
}

static void
use_index(void)
{
	static const unsigned char text[] = "DE89 3704 0044 0532 0130 00";
	static const unsigned char id[] = "8 bytes.";
	unsigned char out[KMS_BLIND_INDEX_MAX];
	bool		ok;

	start();
	look_for((const unsigned char *) "an index key for");
	look_for((const unsigned char *) " this test only.");
	look_for(text);
	look_for((const unsigned char *) "de89370400440532013000");
	ok = kms_blind_index((const unsigned char *)
						 "an index key for this test only.", id,
						 (const unsigned char *) "s", 1, KMS_FOLD_ALNUM,
						 BYTES(text), out) == KMS_OK;
	ok = ok && kms_blind_index((const unsigned char *)
							   "an index key for this test only.", id,
							   (const unsigned char *) "s", 1, KMS_FOLD_NONE,
							   BYTES(text), out) == KMS_OK;
	check(ok && looked_at > 3, "blind index: %d blocks are freed", looked_at);
	check_number(found + excepted, 0, "no index key or text is left in them");
}

int
main(void)
{
	unsigned char *block;
	size_t		i;

	if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1)
	{
		printf("Bail out! OpenSSL has allocated memory\n");
		return 1;
	}
	check(CRYPTO_secure_malloc_init(65536, 32) != 0, "a secure heap");
	opener = kms_key_pair_opener_new();

	/* that a secret is found at all */
	look_for((const unsigned char *) "0123456789abcdef");
	block = OPENSSL_malloc(100);
	memcpy(block + 33, "0123456789abcdef", PIECE);
	OPENSSL_free(block);
	check_number(found, 1, "a secret in freed memory is found");

	for (i = 0; i < LENGTH_OF(jwe_vectors); i++)
	{
		if (jwe_vectors[i].type == KMS_TYPE_RSA)
		{
			use_block(&jwe_vectors[i]);
			continue;
		}
		import(&jwe_vectors[i]);
		use(&jwe_vectors[i]);
	}
	kms_key_pair_opener_free(opener);
	use_xaes();
	use_index();
	return tap_done();
}
