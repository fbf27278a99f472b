/*
 * The steps are done here, block by block.  OpenSSL's AES key wrap reads
 * tables in memory at places that depend on the key, takes two to three times
 * as long, and wipes its output if the wrap is not authentic, which takes time
 * that shows.
 */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/key_wrap.h"

#include "crypto/algorithm.h"
#include "crypto/constant_time.h"

#define HALF		8			/* bytes: half a block */
#define BLOCK		(2 * HALF)
#define ROUNDS		6

static const unsigned char initial[HALF] = {
	0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6
};

static EVP_CIPHER_CTX *new_cipher(const unsigned char *kek, size_t kek_len,
								  int encrypt);
static bool is_good_size(size_t size);
static bool wrap_steps(EVP_CIPHER_CTX *ctx, unsigned char *a, unsigned char *r,
					   size_t halves);
static bool unwrap_steps(EVP_CIPHER_CTX *ctx, unsigned char *a,
						 unsigned char *r, size_t halves);
static void mix(unsigned char *a, size_t step);

KmsStatus
kms_key_wrap(const unsigned char *kek, size_t kek_len,
			 const unsigned char *in, size_t in_len, unsigned char *out)
{
	EVP_CIPHER_CTX *ctx = NULL;
	KmsStatus	status = KMS_FAILED;

	ERR_clear_error();
	if (!is_good_size(in_len))
		goto done;
	ctx = new_cipher(kek, kek_len, 1);
	if (ctx == NULL)
		goto done;
	memcpy(out, initial, HALF);
	memcpy(out + HALF, in, in_len);
	if (wrap_steps(ctx, out, out + HALF, in_len / HALF))
		status = KMS_OK;

done:
	if (status != KMS_OK)
		OPENSSL_cleanse(out, in_len + KMS_KEY_WRAP_OVERHEAD);
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return status;
}

KmsStatus
kms_key_wrap_open_or(const unsigned char *kek, size_t kek_len,
					 const unsigned char *in, const unsigned char *instead,
					 size_t size, unsigned char *out)
{
	EVP_CIPHER_CTX *ctx = NULL;
	unsigned char a[HALF];
	unsigned char r[KMS_KEY_WRAP_MAX];
	KmsBitMask	good;
	KmsStatus	status = KMS_FAILED;

	ERR_clear_error();
	if (!is_good_size(size))
		goto done;
	ctx = new_cipher(kek, kek_len, 0);
	if (ctx == NULL)
		goto done;
	memcpy(a, in, HALF);
	memcpy(r, in + HALF, size);
	if (!unwrap_steps(ctx, a, r, size / HALF))
		goto done;
	good = kms_constant_time_equal((size_t) CRYPTO_memcmp(a, initial, HALF), 0);
	kms_constant_time_select(good, r, instead, out, size);
	status = KMS_OK;

done:
	if (status != KMS_OK)
		OPENSSL_cleanse(out, size);
	OPENSSL_cleanse(a, sizeof(a));
	OPENSSL_cleanse(r, sizeof(r));
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return status;
}

static bool
is_good_size(size_t size)
{
	return size >= 2 * HALF && size <= KMS_KEY_WRAP_MAX && size % HALF == 0;
}

static EVP_CIPHER_CTX *
new_cipher(const unsigned char *kek, size_t kek_len, int encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx != NULL &&
		(EVP_CipherInit_ex2(ctx, kms_algorithm_aes(KMS_AES_ECB, kek_len), kek,
							NULL, encrypt, NULL) != 1 ||
		 EVP_CIPHER_CTX_set_padding(ctx, 0) != 1))
	{
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

/* RFC 3394, 2.2.1, 2) */
static bool
wrap_steps(EVP_CIPHER_CTX *ctx, unsigned char *a, unsigned char *r,
		   size_t halves)
{
	unsigned char block[BLOCK];
	size_t		step;
	int			len;

	for (step = 1; step <= ROUNDS * halves; step++)
	{
		unsigned char *half = r + HALF * ((step - 1) % halves);

		memcpy(block, a, HALF);
		memcpy(block + HALF, half, HALF);
		if (EVP_CipherUpdate(ctx, block, &len, block, BLOCK) != 1)
			break;
		memcpy(a, block, HALF);
		mix(a, step);
		memcpy(half, block + HALF, HALF);
	}
	OPENSSL_cleanse(block, sizeof(block));
	return step > ROUNDS * halves;
}

/* RFC 3394, 2.2.2, 2) */
static bool
unwrap_steps(EVP_CIPHER_CTX *ctx, unsigned char *a, unsigned char *r,
			 size_t halves)
{
	unsigned char block[BLOCK];
	size_t		step;
	int			len;

	for (step = ROUNDS * halves; step >= 1; step--)
	{
		unsigned char *half = r + HALF * ((step - 1) % halves);

		mix(a, step);
		memcpy(block, a, HALF);
		memcpy(block + HALF, half, HALF);
		if (EVP_CipherUpdate(ctx, block, &len, block, BLOCK) != 1)
			break;
		memcpy(a, block, HALF);
		memcpy(half, block + HALF, HALF);
	}
	OPENSSL_cleanse(block, sizeof(block));
	return step == 0;
}

/* There are fewer than 256 steps, so the number is one byte. */
static void
mix(unsigned char *a, size_t step)
{
	a[HALF - 1] ^= (unsigned char) step;
}
