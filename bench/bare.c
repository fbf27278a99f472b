/*
 * The yardsticks: the time of OpenSSL and the processor, without PostgreSQL.
 *
 *	bare KEY.pem
 *
 * reads commands, one per line, and answers each with the wall and processor
 * time of the whole command in nanoseconds:
 *
 *	warm N		private operations, key open, no padding, one context
 *	cold N		first uses: key loaded (PKCS#1 DER), one operation, freed
 *	load N		the same without the operation
 *	generate N	RSA-2048 key pairs; also generate-3072, generate-4096,
 *			generate-p256, generate-x25519
 *	spin N		steps of an integer loop, which needs no memory
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define BLOCK_MAX	512			/* bytes; RSA-4096 */

static EVP_PKEY *key;
static EVP_PKEY_CTX *context;
static unsigned char *der;
static int	der_len;
static unsigned char block[BLOCK_MAX];
static size_t block_len;

static void read_key(const char *path);
static EVP_PKEY_CTX *new_context(EVP_PKEY *pkey);
static void operate(EVP_PKEY_CTX *ctx);
static void warm(long n);
static void first_uses(long n, int operation);
static void cold(long n);
static void load(long n);
static void generate(long n);
static void generate_3072(long n);
static void generate_4096(long n);
static void generate_p256(long n);
static void generate_x25519(long n);
static void generate_rsa(long n, unsigned int bits);
static void count_key(EVP_PKEY *pkey);
static void spin(long n);
static long long now(clockid_t id);
static void check(int ok, const char *what);

static const struct
{
	const char *name;
	void		(*run) (long n);
}			commands[] =

{
	{"warm", warm},
	{"cold", cold},
	{"load", load},
	{"generate", generate},
	{"generate-3072", generate_3072},
	{"generate-4096", generate_4096},
	{"generate-p256", generate_p256},
	{"generate-x25519", generate_x25519},
	{"spin", spin},
};

int
main(int argc, char **argv)
{
	char		name[20];
	long		n;

	check(argc == 2, "usage: bare KEY.pem");
	read_key(argv[1]);
	while (scanf("%19s %ld", name, &n) == 2)
	{
		long long	wall = now(CLOCK_MONOTONIC);
		long long	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
		size_t		i = 0;

		while (strcmp(commands[i].name, name) != 0)
			check(++i < sizeof(commands) / sizeof(commands[0]), name);
		commands[i].run(n);
		printf("%lld %lld\n", now(CLOCK_MONOTONIC) - wall,
			   now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
		fflush(stdout);
	}
	return 0;
}

/* The block to decrypt may be any number below the modulus. */
static void
read_key(const char *path)
{
	FILE	   *file = fopen(path, "r");

	check(file != NULL, path);
	key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	check(key != NULL, "PEM_read_PrivateKey");
	fclose(file);
	der_len = i2d_PrivateKey(key, &der);
	check(der_len > 0, "i2d_PrivateKey");
	block_len = (size_t) EVP_PKEY_get_size(key);
	check(block_len <= BLOCK_MAX, "key size");
	memset(block, 0x5a, block_len);
	block[0] = 0;
	context = new_context(key);
}

static EVP_PKEY_CTX *
new_context(EVP_PKEY *pkey)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

	check(ctx != NULL, "EVP_PKEY_CTX_new_from_pkey");
	check(EVP_PKEY_decrypt_init(ctx) == 1, "EVP_PKEY_decrypt_init");
	check(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1,
		  "EVP_PKEY_CTX_set_rsa_padding");
	return ctx;
}

static void
operate(EVP_PKEY_CTX *ctx)
{
	unsigned char out[BLOCK_MAX];
	size_t		len = sizeof(out);

	check(EVP_PKEY_decrypt(ctx, out, &len, block, block_len) == 1,
		  "EVP_PKEY_decrypt");
}

static void
warm(long n)
{
	while (n-- > 0)
		operate(context);
}

/* Use one decoder for all keys, because that is the cheapest way. */
static void
first_uses(long n, int operation)
{
	EVP_PKEY   *pkey = NULL;
	OSSL_DECODER_CTX *decoder;

	decoder = OSSL_DECODER_CTX_new_for_pkey(&pkey, "DER", "type-specific",
											"RSA", EVP_PKEY_KEYPAIR, NULL, NULL);
	check(decoder != NULL, "OSSL_DECODER_CTX_new_for_pkey");
	while (n-- > 0)
	{
		const unsigned char *in = der;
		size_t		len = (size_t) der_len;

		check(OSSL_DECODER_from_data(decoder, &in, &len) == 1,
			  "OSSL_DECODER_from_data");
		if (operation)
		{
			EVP_PKEY_CTX *ctx = new_context(pkey);

			operate(ctx);
			EVP_PKEY_CTX_free(ctx);
		}
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	OSSL_DECODER_CTX_free(decoder);
}

static void
cold(long n)
{
	first_uses(n, 1);
}

static void
load(long n)
{
	first_uses(n, 0);
}

static void
generate(long n)
{
	generate_rsa(n, 2048);
}

static void
generate_3072(long n)
{
	generate_rsa(n, 3072);
}

static void
generate_4096(long n)
{
	generate_rsa(n, 4096);
}

static void
generate_p256(long n)
{
	while (n-- > 0)
		count_key(EVP_EC_gen("P-256"));
}

static void
generate_x25519(long n)
{
	while (n-- > 0)
		count_key(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"));
}

static void
generate_rsa(long n, unsigned int bits)
{
	while (n-- > 0)
		count_key(EVP_RSA_gen(bits));
}

static void
count_key(EVP_PKEY *pkey)
{
	check(pkey != NULL, "key generation");
	EVP_PKEY_free(pkey);
}

static void
spin(long n)
{
	volatile uint64_t sink;
	uint64_t	x = (uint64_t) n;

	while (n-- > 0)
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
	sink = x;
	(void) sink;
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
	fprintf(stderr, "bare: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}
