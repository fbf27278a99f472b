/*
 * In a server, the environment variable KMS_TEST_STAND_IN_FAULT names the
 * fault of every lane: "processor", "result", "status" or "check".  With a
 * number after it, as in "result 6", so many runs work first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>

#include "crypto_mb/cpu_features.h"
#include "crypto_mb/rsa.h"
#include "stand_in.h"

#define LANES	8
#define BUFFER	4096			/* bytes */

struct _ifma_rsa_method
{
	int			bits;
	bool		is_private;
};

StandIn		stand_in = {.faulty_lanes = 0xff};

static const mbx_RSA_Method methods[2][3] = {
	{{2048, false}, {3072, false}, {4096, false}},
	{{2048, true}, {3072, true}, {4096, true}}
};

static void ask_environment(void);
static const mbx_RSA_Method *find_method(int bits, bool is_private);
static BIGNUM *block_number(const int8u *block, int bits);
static BIGNUM *word_number(const int64u *words, int bits);
static bool fails(StandInFault fault, int lane);

MBX_ALGO_INFO
mbx_get_algo_info(enum MBX_ALGO algo)
{
	ask_environment();
	return algo > MBX_ALGO_RSA_4K || stand_in.no_processor ? 0 : MBX_WIDTH_MB8;
}

static void
ask_environment(void)
{
	const char *fault = getenv("KMS_TEST_STAND_IN_FAULT");
	char		name[16];
	int			fields;

	if (fault == NULL)
		return;
	fields = sscanf(fault, "%15s %d", name, &stand_in.spared_runs);
	if (fields < 1)
		return;
	stand_in.no_processor = strcmp(name, "processor") == 0;
	if (strcmp(name, "result") == 0)
		stand_in.fault = STAND_IN_WRONG_RESULT;
	else if (strcmp(name, "status") == 0)
		stand_in.fault = STAND_IN_FAILED_STATUS;
	else if (strcmp(name, "check") == 0)
		stand_in.fault = STAND_IN_WRONG_CHECK;
}

const mbx_RSA_Method *
mbx_RSA_pub65537_Method(int bits)
{
	return find_method(bits, false);
}

const mbx_RSA_Method *
mbx_RSA_private_crt_Method(int bits)
{
	return find_method(bits, true);
}

static const mbx_RSA_Method *
find_method(int bits, bool is_private)
{
	int			i;

	for (i = 0; i < 3; i++)
	{
		if (methods[is_private][i].bits == bits)
			return &methods[is_private][i];
	}
	return NULL;
}

int
mbx_RSA_Method_BufSize(const mbx_RSA_Method *method)
{
	return method->bits / 1024 * BUFFER;
}

mbx_status
mbx_rsa_public_mb8(const int8u *const from[8], int8u *const to[8],
				   const int64u *const n[8], int bits,
				   const mbx_RSA_Method *method, int8u *buffer)
{
	BN_CTX	   *ctx = BN_CTX_new();
	BIGNUM	   *e = BN_new();
	mbx_status	status = MBX_STATUS_OK;
	int			lane;

	if (method->is_private || method->bits != bits)
		return 0x11111111;
	stand_in.public_runs++;
	BN_set_word(e, 65537);
	for (lane = 0; lane < LANES; lane++)
	{
		BIGNUM	   *x = block_number(from[lane], bits);
		BIGNUM	   *modulus = word_number(n[lane], bits);

		BN_mod_exp(x, x, e, modulus, ctx);
		if (fails(STAND_IN_WRONG_CHECK, lane))
			BN_sub_word(x, 1);
		if (fails(STAND_IN_FAILED_CHECK, lane))
			status |= (mbx_status) MBX_STATUS_MISMATCH_PARAM_ERR << 4 * lane;
		BN_bn2binpad(x, to[lane], bits / 8);
		memcpy(buffer + lane * (bits / 8), to[lane], (size_t) bits / 8);
		BN_clear_free(x);
		BN_free(modulus);
	}
	BN_free(e);
	BN_CTX_free(ctx);
	return status;
}

mbx_status
mbx_rsa_private_crt_mb8(const int8u *const from[8], int8u *const to[8],
						const int64u *const p[8], const int64u *const q[8],
						const int64u *const dp[8], const int64u *const dq[8],
						const int64u *const iq[8], int bits,
						const mbx_RSA_Method *method, int8u *buffer)
{
	BN_CTX	   *ctx = BN_CTX_secure_new();
	mbx_status	status = MBX_STATUS_OK;
	int			lane;

	if (!method->is_private || method->bits != bits)
		return 0x11111111;
	stand_in.private_runs++;
	stand_in.bits = bits;
	for (lane = 0; lane < LANES; lane++)
	{
		BIGNUM	   *x = block_number(from[lane], bits);
		BIGNUM	   *modulus_p = word_number(p[lane], bits / 2);
		BIGNUM	   *modulus_q = word_number(q[lane], bits / 2);
		BIGNUM	   *exponent_p = word_number(dp[lane], bits / 2);
		BIGNUM	   *exponent_q = word_number(dq[lane], bits / 2);
		BIGNUM	   *inverse = word_number(iq[lane], bits / 2);
		BIGNUM	   *x_p = BN_new();
		BIGNUM	   *x_q = BN_new();

		memcpy(stand_in.in[lane], from[lane], (size_t) bits / 8);
		stand_in.p[lane] = p[lane];
		BN_nnmod(x_p, x, modulus_p, ctx);
		BN_nnmod(x_q, x, modulus_q, ctx);
		BN_mod_exp(x_p, x_p, exponent_p, modulus_p, ctx);
		BN_mod_exp(x_q, x_q, exponent_q, modulus_q, ctx);
		if (fails(STAND_IN_WRONG_RESULT, lane))
			BN_mod_lshift1(x_q, x_q, modulus_q, ctx);
		if (fails(STAND_IN_FAILED_STATUS, lane))
			status |= (mbx_status) MBX_STATUS_NULL_PARAM_ERR << 4 * lane;
		BN_mod_sub(x_p, x_p, x_q, modulus_p, ctx);
		BN_mod_mul(x_p, x_p, inverse, modulus_p, ctx);
		BN_mul(x, x_p, modulus_q, ctx);
		BN_add(x, x, x_q);
		BN_bn2binpad(x, to[lane], bits / 8);

		/*
		 * The library leaves such things in the caller's memory, too, where
		 * the public operation does not overwrite them.
		 */
		memcpy(buffer + BUFFER, to[lane], (size_t) bits / 8);
		memcpy(buffer + BUFFER + bits / 8, p[lane], (size_t) bits / 16);
		BN_clear_free(x);
		BN_clear_free(x_p);
		BN_clear_free(x_q);
		BN_clear_free(modulus_p);
		BN_clear_free(modulus_q);
		BN_clear_free(exponent_p);
		BN_clear_free(exponent_q);
		BN_clear_free(inverse);
	}
	if (stand_in.spared_runs > 0)
		stand_in.spared_runs--;
	BN_CTX_free(ctx);
	return status;
}

static BIGNUM *
block_number(const int8u *block, int bits)
{
	BIGNUM	   *number = BN_bin2bn(block, bits / 8, NULL);

	stand_in.zeros |= BN_is_zero(number);
	return number;
}

static BIGNUM *
word_number(const int64u *words, int bits)
{
	BIGNUM	   *number = BN_lebin2bn((const unsigned char *) words, bits / 8,
									 NULL);

	stand_in.zeros |= BN_is_zero(number);
	return number;
}

static bool
fails(StandInFault fault, int lane)
{
	return stand_in.fault == fault && stand_in.spared_runs == 0 &&
		(stand_in.faulty_lanes >> lane & 1) != 0;
}
