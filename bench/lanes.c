/*
 * The lanes of crypto_mb without PostgreSQL, beside OpenSSL: how long they
 * take, and whether that depends on the ciphertext.
 *
 *	lanes KEY.pem
 *
 * reads commands, one per line.  These are answered as those of bare.c are,
 * with the wall and processor time of the whole command in nanoseconds:
 *
 *	openssl N				private operations, key open, no padding
 *	blinded-K N				N times K operations in the lanes, keys open
 *	unblinded-K N
 *	first-openssl N			first uses: key decoded, one operation, freed
 *	first-blinded-K N		N times K first uses in the lanes
 *	first-unblinded-K N
 *
 * These take N samples of each class of ciphertexts, in random order, each of
 * KMS_LANES_MOST operations with the key open:
 *
 *	classes-openssl N
 *	classes-blinded N
 *	classes-unblinded N
 *	classes-textbook N		the CRT with BN_mod_exp, which is not constant-time
 *
 * Their answers are the median of each class in nanoseconds, then, for each
 * class but the first, Student's t in Welch's form between it and the first
 * one, without the slowest quarter of the samples of each.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "crypto/key_pair_struct.h"
#include "crypto/lanes.h"

typedef unsigned char Block[KMS_RSA_MAX_BLOCK];

typedef enum Class
{
	RANDOM,						/* below n */
	SMALL,						/* of 64 bits */
	NEAR_N,						/* n less a number of 64 bits */
	MULTIPLE,					/* of a prime of n */
	SMALL_RESULT,				/* e-th power of a number of 64 bits */
	CLASSES
}			Class;

typedef enum Way
{
	OPENSSL, BLINDED, UNBLINDED, TEXTBOOK
}			Way;

static const char *const way_names[] = {
	"openssl", "blinded", "unblinded", "textbook"
};

static KmsKeyOpener *opener;
static KmsLanes *lanes;
static unsigned char *der;
static size_t der_len;
static KmsKeyPair *keys[KMS_LANES_MOST];
static EVP_PKEY_CTX *context;
static BIGNUM *n,
		   *e,
		   *p,
		   *q,
		   *dp,
		   *dq;
static BN_CTX *bn_ctx;
static size_t block_len;

static void read_key(const char *path);
static BIGNUM *number(EVP_PKEY *pkey, const char *name);
static KmsKeyPair *open_key(void);
static EVP_PKEY_CTX *new_context(EVP_PKEY *pkey);
static Way find_way(const char *name);
static void run(const char *name, long count);
static void run_lanes(KmsKeyPair **with, Block *in, int count, bool blind);
static void run_first(int count, Way way);
static void operate(EVP_PKEY_CTX *ctx, const unsigned char *in);
static void textbook(const unsigned char *in);
static void classes(Way way, long count);
static void make_block(Class class, unsigned char *block);
static void random_below(const BIGNUM *limit, BIGNUM *out);
static double take_sample(Way way, Class class);
static double welch(const double *a, const double *b, long count);
static int	compare(const void *a, const void *b);
static long long now(clockid_t id);
static void check(int ok, const char *what);

int
main(int argc, char **argv)
{
	char		name[40];
	long		count;
	const char *why_not;

	check(argc == 2, "usage: lanes KEY.pem");
	lanes = kms_lanes_new(&why_not);
	check(lanes != NULL, why_not);
	read_key(argv[1]);
	while (scanf("%39s %ld", name, &count) == 2)
	{
		long long	wall = now(CLOCK_MONOTONIC);
		long long	cpu = now(CLOCK_PROCESS_CPUTIME_ID);

		if (strncmp(name, "classes-", 8) == 0)
			classes(find_way(name + 8), count);
		else
		{
			run(name, count);
			printf("%lld %lld\n", now(CLOCK_MONOTONIC) - wall,
				   now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
		}
		fflush(stdout);
	}
	return 0;
}

static void
read_key(const char *path)
{
	FILE	   *file = fopen(path, "r");
	EVP_PKEY   *pkey;
	int			len;
	int			i;

	check(file != NULL, path);
	pkey = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	check(pkey != NULL, "PEM_read_PrivateKey");
	fclose(file);
	len = i2d_PrivateKey(pkey, &der);
	check(len > 0, "i2d_PrivateKey");
	der_len = (size_t) len;
	block_len = (size_t) EVP_PKEY_get_size(pkey);
	n = number(pkey, OSSL_PKEY_PARAM_RSA_N);
	e = number(pkey, OSSL_PKEY_PARAM_RSA_E);
	p = number(pkey, OSSL_PKEY_PARAM_RSA_FACTOR1);
	q = number(pkey, OSSL_PKEY_PARAM_RSA_FACTOR2);
	dp = number(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT1);
	dq = number(pkey, OSSL_PKEY_PARAM_RSA_EXPONENT2);
	bn_ctx = BN_CTX_new();
	opener = kms_key_pair_opener_new();
	check(bn_ctx != NULL && opener != NULL, "memory");
	for (i = 0; i < KMS_LANES_MOST; i++)
		keys[i] = open_key();
	context = new_context(pkey);
}

static BIGNUM *
number(EVP_PKEY *pkey, const char *name)
{
	BIGNUM	   *value = NULL;

	check(EVP_PKEY_get_bn_param(pkey, name, &value) == 1, name);
	return value;
}

static KmsKeyPair *
open_key(void)
{
	KmsKeyPair *key;

	check(kms_key_pair_open_private(opener, KMS_TYPE_RSA, der, der_len,
									&key) == KMS_OK, "open a key");
	return key;
}

static EVP_PKEY_CTX *
new_context(EVP_PKEY *pkey)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

	check(ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 &&
		  EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1, "context");
	return ctx;
}

static Way
find_way(const char *name)
{
	size_t		i;

	for (i = 0; i < sizeof(way_names) / sizeof(way_names[0]); i++)
	{
		if (strncmp(name, way_names[i], strlen(way_names[i])) == 0)
			return (Way) i;
	}
	check(false, name);
	return OPENSSL;
}

static void
run(const char *name, long count)
{
	bool		first = strncmp(name, "first-", 6) == 0;
	Way			way = find_way(first ? name + 6 : name);
	const char *minus = strrchr(name, '-');
	int			together = way == OPENSSL ? 1 : atoi(minus + 1);
	Block		in[KMS_LANES_MOST];
	int			i;

	check(together >= 1 && together <= KMS_LANES_MOST, name);
	for (i = 0; i < KMS_LANES_MOST; i++)
		make_block(RANDOM, in[i]);
	while (count-- > 0)
	{
		if (first)
			run_first(together, way);
		else if (way == OPENSSL)
			operate(context, in[0]);
		else
			run_lanes(keys, in, together, way == BLINDED);
	}
}

static void
run_lanes(KmsKeyPair **with, Block *in, int count, bool blind)
{
	KmsLane		operations[KMS_LANES_MOST];
	Block		out[KMS_LANES_MOST];
	int			i;

	for (i = 0; i < count; i++)
	{
		operations[i].key = with[i];
		operations[i].in = in[i];
		operations[i].out = out[i];
	}
	check(kms_lanes_decrypt(lanes, operations, count, blind) == 0,
		  "a wrong result");
	for (i = 0; i < count; i++)
		check(operations[i].done, "a lane did not fit");
}

static void
run_first(int count, Way way)
{
	KmsKeyPair *opened[KMS_LANES_MOST];
	Block		in[KMS_LANES_MOST];
	int			i;

	for (i = 0; i < count; i++)
	{
		opened[i] = open_key();
		memset(in[i], 0x5a, block_len);
		in[i][0] = 0;
	}
	if (way == OPENSSL)
	{
		EVP_PKEY_CTX *ctx = new_context(opened[0]->pkey);

		operate(ctx, in[0]);
		EVP_PKEY_CTX_free(ctx);
	}
	else
		run_lanes(opened, in, count, way == BLINDED);
	for (i = 0; i < count; i++)
		kms_key_pair_free(opened[i]);
}

static void
operate(EVP_PKEY_CTX *ctx, const unsigned char *in)
{
	Block		out;
	size_t		len = sizeof(out);

	check(EVP_PKEY_decrypt(ctx, out, &len, in, block_len) == 1,
		  "EVP_PKEY_decrypt");
}

/* The two exponentiations; what puts them together takes next to no time. */
static void
textbook(const unsigned char *in)
{
	BIGNUM	   *c = BN_bin2bn(in, (int) block_len, NULL);
	BIGNUM	   *m = BN_new();

	check(c != NULL && m != NULL &&
		  BN_mod_exp(m, c, dp, p, bn_ctx) == 1 &&
		  BN_mod_exp(m, c, dq, q, bn_ctx) == 1, "BN_mod_exp");
	BN_free(c);
	BN_free(m);
}

/* ---- Classes of ciphertexts ------------------------------------------- */

static void
classes(Way way, long count)
{
	double	   *samples = malloc((size_t) count * CLASSES * sizeof(double));
	long		taken[CLASSES] = {0};
	long		left = count * CLASSES;
	long		class;

	check(samples != NULL && count > 2, "memory");
	while (left > 0)
	{
		class = random() % CLASSES;
		if (taken[class] == count)
			continue;
		samples[class * count + taken[class]++] = take_sample(way, (Class) class);
		left--;
	}
	for (class = 0; class < CLASSES; class++)
	{
		qsort(samples + class * count, (size_t) count, sizeof(double), compare);
		printf("%.0f ", samples[class * count + count / 2]);
	}
	for (class = 1; class < CLASSES; class++)
		printf("%.2f%c", welch(samples + class * count, samples, count),
			   class == CLASSES - 1 ? '\n' : ' ');
	free(samples);
}

static double
take_sample(Way way, Class class)
{
	Block		in[KMS_LANES_MOST];
	long long	start;
	int			i;

	for (i = 0; i < KMS_LANES_MOST; i++)
		make_block(class, in[i]);
	start = now(CLOCK_MONOTONIC);
	if (way == BLINDED || way == UNBLINDED)
		run_lanes(keys, in, KMS_LANES_MOST, way == BLINDED);
	for (i = 0; i < KMS_LANES_MOST; i++)
	{
		if (way == OPENSSL)
			operate(context, in[i]);
		else if (way == TEXTBOOK)
			textbook(in[i]);
	}
	return (double) (now(CLOCK_MONOTONIC) - start);
}

static void
make_block(Class class, unsigned char *block)
{
	BIGNUM	   *a = BN_new();

	check(a != NULL, "memory");
	switch (class)
	{
		case RANDOM:
			random_below(n, a);
			break;
		case MULTIPLE:
			random_below(q, a);
			check(BN_mul(a, a, p, bn_ctx) == 1, "BN_mul");
			break;
		default:
			check(BN_rand(a, 64, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1,
				  "BN_rand");
			break;
	}
	if (class == NEAR_N)
		check(BN_sub(a, n, a) == 1, "BN_sub");
	if (class == SMALL_RESULT)
		check(BN_mod_exp(a, a, e, n, bn_ctx) == 1, "BN_mod_exp");
	check(BN_bn2binpad(a, block, (int) block_len) == (int) block_len,
		  "BN_bn2binpad");
	BN_free(a);
}

/* Not 0. */
static void
random_below(const BIGNUM *limit, BIGNUM *out)
{
	do
		check(BN_rand_range(out, limit) == 1, "BN_rand_range");
	while (BN_is_zero(out));
}

/* Of sorted values, without the slowest quarter of each. */
static double
welch(const double *a, const double *b, long count)
{
	const double *groups[2] = {a, b};
	double		mean[2];
	double		error = 0;		/* squared, of both means */
	long		kept = count - count / 4;
	int			i;

	for (i = 0; i < 2; i++)
	{
		double		squares = 0;
		long		j;

		mean[i] = 0;
		for (j = 0; j < kept; j++)
			mean[i] += groups[i][j] / (double) kept;
		for (j = 0; j < kept; j++)
			squares += (groups[i][j] - mean[i]) * (groups[i][j] - mean[i]);
		error += squares / (double) (kept - 1) / (double) kept;
	}
	return error > 0 ? (mean[0] - mean[1]) / sqrt(error) : 0;
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

static long long
now(clockid_t id)
{
	struct timespec t;

	check(clock_gettime(id, &t) == 0, "clock_gettime");
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void
check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "lanes: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}
