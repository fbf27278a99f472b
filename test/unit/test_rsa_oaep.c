#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "crypto/rsa_generate.h"
#include "crypto/key_pair.h"
#include "crypto/rsa_oaep.h"
#include "keys.h"
#include "tap.h"

#define MUTATIONS		10000
#define MUTATIONS_EACH	100		/* of one ciphertext */
#define SECURE_HEAP		16384	/* bytes */
#define KEYS_MAX		64		/* more than fit into it */

#define MODULUS_AT		33		/* in SPKI DER of 2048 bits and more */

#define BYTES(array) array, sizeof(array)

static KmsKeyOpener *opener;

typedef struct Pair
{
	const char *name;
	const unsigned char *private_der;
	size_t		private_len;
	const unsigned char *public_der;
	size_t		public_len;
	int			bits;
} Pair;

static const Pair pairs[] = {
	{"2048", BYTES(key_2048), BYTES(public_2048), 2048},
	{"3072", BYTES(key_3072), BYTES(public_3072), 3072},
	{"4096", BYTES(key_4096), BYTES(public_4096), 4096}
};

static KmsKeyPair *
open_private(const Pair *pair)
{
	KmsKeyPair *key = NULL;

	if (kms_key_pair_open_private(opener, KMS_TYPE_RSA, pair->private_der, pair->private_len,
								  &key) != KMS_OK)
	{
		printf("Bail out! no key of %s bits\n", pair->name);
		exit(1);
	}
	return key;
}

static KmsKeyPair *
open_public(const Pair *pair)
{
	KmsKeyPair *key = NULL;

	if (kms_key_pair_open_public(opener, KMS_TYPE_RSA, pair->public_der, pair->public_len,
								 &key) != KMS_OK)
	{
		printf("Bail out! no public key of %s bits\n", pair->name);
		exit(1);
	}
	return key;
}

/* ---- opening and writing ---------------------------------------------- */

static void
test_der(const Pair *pair)
{
	KmsKeyPair *private_key = open_private(pair);
	KmsKeyPair *public_key = open_public(pair);
	unsigned char out[KMS_KEY_PAIR_MAX_PRIVATE];
	size_t		len;

	check_number((long long) kms_key_pair_block_size(private_key),
				 pair->bits / 8, "block size");
	check_number((long long) kms_key_pair_block_size(public_key),
				 pair->bits / 8, "block size, public");

	check(kms_key_pair_private_der(private_key, out, sizeof(out), &len) == KMS_OK &&
		  len == pair->private_len && memcmp(out, pair->private_der, len) == 0,
		  "%s: the private key is written as it was", pair->name);
	check(kms_key_pair_public_der(private_key, out, sizeof(out), &len) == KMS_OK &&
		  len == pair->public_len && memcmp(out, pair->public_der, len) == 0,
		  "%s: the public half of the private key", pair->name);
	check(kms_key_pair_public_der(public_key, out, KMS_KEY_PAIR_MAX_PUBLIC,
								  &len) == KMS_OK &&
		  len == pair->public_len && memcmp(out, pair->public_der, len) == 0,
		  "%s: the public key is written as it was", pair->name);

	memset(out, 0xff, sizeof(out));
	check(kms_key_pair_private_der(private_key, out, pair->private_len - 1,
								   &len) == KMS_TOO_LONG && len == 0 &&
		  is_all(out, pair->private_len - 1, 0) &&
		  out[pair->private_len - 1] == 0xff,
		  "%s: a buffer too small by one is wiped", pair->name);
	memset(out, 0xff, sizeof(out));
	check(kms_key_pair_public_der(private_key, out, pair->public_len - 1,
								  &len) == KMS_TOO_LONG && len == 0,
		  "%s: the same for the public key", pair->name);
	memset(out, 0xff, sizeof(out));
	check(kms_key_pair_private_der(public_key, out, sizeof(out),
								   &len) == KMS_BAD_KEY && len == 0 &&
		  is_all(out, sizeof(out), 0),
		  "%s: a public key has no private half", pair->name);
	kms_key_pair_free(private_key);
	kms_key_pair_free(public_key);
}

typedef struct BadKey
{
	const unsigned char *der;
	size_t		len;
	const char *name;
} BadKey;

static const BadKey bad_private[] = {
	{NULL, 0, "nothing"},
	{BYTES(key_1024), "1024 bits"},
	{BYTES(multiprime_2048), "three primes"},
	{BYTES(pkcs8_2048), "PKCS#8"},
	{BYTES(public_2048), "a public key"},
	{BYTES(public_ec), "an EC key"}
};

static const BadKey bad_public[] = {
	{NULL, 0, "nothing"},
	{BYTES(public_1024), "1024 bits"},
	{BYTES(key_2048), "a private key"},
	{BYTES(pkcs8_2048), "a private key in PKCS#8"},
	{BYTES(public_ec), "an EC key"},
	{BYTES(public_dsa), "a DSA key"},
	{BYTES(pss_2048), "a key for PSS alone"}
};

typedef KmsStatus (*Open) (KmsKeyOpener *opener, KmsKeyType type,
						   const unsigned char *der,
						   size_t len, KmsKeyPair **key);

static void
test_bad_keys(const BadKey *cases, size_t count, Open open, const char *kind)
{
	size_t		i;

	for (i = 0; i < count; i++)
	{
		KmsKeyPair *key = (KmsKeyPair *) &cases;

		check(open(opener, KMS_TYPE_RSA, cases[i].der, cases[i].len, &key) == KMS_BAD_KEY &&
			  key == NULL && ERR_peek_error() == 0,
			  "refused as a %s key: %s", kind, cases[i].name);
	}
}

/* A changed key that opens all the same must do no harm. */
static void
test_cut_and_extended(const unsigned char *der, size_t len, Open open,
					  const char *kind)
{
	unsigned char *copy;
	bool		ok = true;
	KmsKeyPair *key;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		copy = malloc(i > 0 ? i : 1);
		memcpy(copy, der, i);
		ok = ok && open(opener, KMS_TYPE_RSA, copy, i, &key) == KMS_BAD_KEY && key == NULL;
		free(copy);
	}
	check(ok, "a %s key cut off anywhere is refused", kind);

	copy = malloc(len + 1);
	memcpy(copy, der, len);
	copy[len] = 0;
	check(open(opener, KMS_TYPE_RSA, copy, len + 1, &key) == KMS_BAD_KEY && key == NULL,
		  "a %s key with a byte behind it is refused", kind);
	copy[3]++;
	check(open(opener, KMS_TYPE_RSA, copy, len + 1, &key) == KMS_BAD_KEY && key == NULL,
		  "a %s key with a byte behind its last number is refused", kind);
	free(copy);

	check(open(opener, KMS_TYPE_RSA, der, len, &key) == KMS_OK, "the %s key opens still",
		  kind);
	kms_key_pair_free(key);
}

static void
test_pem(void)
{
	char		out[KMS_KEY_PAIR_MAX_PEM];
	char		largest[KMS_KEY_PAIR_MAX_PEM];
	unsigned char der[KMS_KEY_PAIR_MAX_PUBLIC];
	const char *line;
	bool		ok = true;
	int			body;

	check(kms_key_pair_public_pem(BYTES(public_2048), out, sizeof(out)) == KMS_OK &&
		  strncmp(out, "-----BEGIN PUBLIC KEY-----\nMII", 30) == 0 &&
		  strcmp(out + strlen(out) - 26, "\n-----END PUBLIC KEY-----\n") == 0,
		  "PEM has its lines");
	for (line = strchr(out, '\n') + 1; line[0] != '-';
		 line = strchr(line, '\n') + 1)
		ok = ok && (strcspn(line, "\n") == 64 ||
					strchr(line, '\n')[1] == '-');
	check(ok, "of 64 characters");
	check(kms_key_pair_public_pem(BYTES(public_4096), largest,
								  sizeof(largest)) == KMS_OK, "PEM of 4096 bits");
	memset(der, 0xff, sizeof(der));
	check(kms_key_pair_public_pem(BYTES(der), largest, sizeof(largest)) == KMS_OK,
		  "PEM of the longest");
	body = (int) strlen(out) + 1;
	check(kms_key_pair_public_pem(BYTES(public_2048), largest,
								  (size_t) body) == KMS_OK, "PEM that just fits");
	check(kms_key_pair_public_pem(BYTES(public_2048), largest,
								  (size_t) body - 1) == KMS_TOO_LONG &&
		  largest[0] == '\0', "PEM that does not fit by one");
	check(kms_key_pair_public_pem(der, 0, largest, sizeof(largest)) == KMS_BAD_KEY,
		  "PEM of nothing");
}

/* ---- OAEP ------------------------------------------------------------- */

/* From and to memory of the very size. */
static KmsStatus
decrypt(KmsKeyPair *key, const KmsOaep *oaep, const unsigned char *cipher,
		size_t cipher_len, const unsigned char *plain, size_t plain_len,
		bool *good)
{
	size_t		block = kms_key_pair_block_size(key);
	unsigned char *in = malloc(cipher_len > 0 ? cipher_len : 1);
	unsigned char *out = malloc(block);
	size_t		out_len = 99;
	KmsStatus	status;

	memcpy(in, cipher, cipher_len);
	memset(out, 0xff, block);
	status = kms_rsa_oaep_decrypt(key, oaep, in, cipher_len, out, &out_len);
	if (status == KMS_OK)
		*good = out_len == plain_len && memcmp(out, plain, plain_len) == 0;
	else
		*good = out_len == 0 && is_all(out, block, 0);
	*good = *good && ERR_peek_error() == 0;
	free(in);
	free(out);
	return status;
}

static void
test_pair_of_digests(const Pair *pair, KmsKeyPair *private_key,
					 KmsKeyPair *public_key, KmsDigest digest, KmsDigest mgf1)
{
	static const unsigned char label[] = "a label";
	unsigned char plain[KMS_RSA_MAX_BLOCK];
	unsigned char cipher[KMS_RSA_MAX_BLOCK];
	KmsOaep		oaep = {digest, mgf1, label, sizeof(label)};
	size_t		max = kms_rsa_oaep_max_plaintext(public_key, digest);
	size_t		lengths[3] = {0, 1, 0};
	size_t		cipher_len;
	bool		ok = true;
	bool		good;
	int			i;

	if (RAND_bytes(plain, sizeof(plain)) != 1)
		exit(2);
	lengths[2] = max;
	ok = max == (size_t) pair->bits / 8 - 2 * kms_digest_size(digest) - 2;
	for (i = 0; i < 3; i++)
	{
		ok = ok && kms_rsa_oaep_encrypt(public_key, &oaep, plain, lengths[i],
										cipher, &cipher_len) == KMS_OK &&
			cipher_len == (size_t) pair->bits / 8;
		ok = ok && decrypt(private_key, &oaep, cipher, cipher_len,
						   plain, lengths[i], &good) == KMS_OK && good;
	}
	memset(cipher, 0xff, sizeof(cipher));
	ok = ok && kms_rsa_oaep_encrypt(public_key, &oaep, plain, max + 1,
									cipher, &cipher_len) == KMS_TOO_LONG &&
		cipher_len == 0 && is_all(cipher, (size_t) pair->bits / 8, 0);
	check(ok, "%s bits, %s, MGF1 %s: 0, 1, %zu bytes, not %zu", pair->name,
		  kms_digest_name(digest),
		  mgf1 == KMS_DIGEST_NONE ? "the same" : kms_digest_name(mgf1),
		  max, max + 1);
}

static void
test_all_digests(const Pair *pair)
{
	KmsKeyPair *private_key = open_private(pair);
	KmsKeyPair *public_key = open_public(pair);
	int			digest;
	int			mgf1;

	for (digest = KMS_SHA1; digest < KMS_DIGEST_COUNT; digest++)
	{
		for (mgf1 = KMS_DIGEST_NONE; mgf1 < KMS_DIGEST_COUNT; mgf1++)
			test_pair_of_digests(pair, private_key, public_key,
								 (KmsDigest) digest, (KmsDigest) mgf1);
	}
	kms_key_pair_free(private_key);
	kms_key_pair_free(public_key);
}

typedef struct OaepCase
{
	KmsOaep		oaep;
	KmsStatus	status;
	const char *name;
} OaepCase;

#define LABEL(text) (const unsigned char *) text, sizeof(text) - 1

/* Of what was made with SHA-256, MGF1 SHA-1 and the label "label". */
static const OaepCase oaep_cases[] = {
	{{KMS_SHA256, KMS_SHA1, LABEL("label")}, KMS_OK, "as it was made"},
	{{KMS_SHA256, KMS_SHA1, NULL, 0}, KMS_REJECTED, "no label"},
	{{KMS_SHA256, KMS_SHA1, LABEL("")}, KMS_REJECTED, "the empty label"},
	{{KMS_SHA256, KMS_SHA1, LABEL("Label")}, KMS_REJECTED, "another label"},
	{{KMS_SHA256, KMS_SHA1, LABEL("label\0")}, KMS_REJECTED, "a longer label"},
	{{KMS_SHA256, KMS_SHA256, LABEL("label")}, KMS_REJECTED, "another MGF1"},
	{{KMS_SHA256, KMS_DIGEST_NONE, LABEL("label")}, KMS_REJECTED,
	"the default MGF1"},
	{{KMS_SHA1, KMS_SHA1, LABEL("label")}, KMS_REJECTED, "another digest"},
	{{KMS_SHA512_256, KMS_SHA1, LABEL("label")}, KMS_REJECTED,
	"another digest of that size"},
	{{KMS_DIGEST_NONE, KMS_SHA1, LABEL("label")}, KMS_FAILED, "no digest"},
	{{KMS_SHA256, (KmsDigest) 99, LABEL("label")}, KMS_FAILED,
	"an unknown MGF1"},
	{{KMS_SHA256, KMS_SHA1, LABEL("label")}, KMS_OK, "as it was made, again"}
};

static void
test_oaep_cases(KmsKeyPair *key, KmsKeyPair *public_key)
{
	static const unsigned char plain[] = {'s', 'e', 'c', 'r', 'e', 't'};
	unsigned char cipher[KMS_RSA_MAX_BLOCK];
	unsigned char longer[KMS_RSA_MAX_BLOCK + 1] = {0};
	KmsOaep		none = {KMS_DIGEST_NONE, KMS_DIGEST_NONE, NULL, 0};
	const KmsOaep *oaep = &oaep_cases[0].oaep;
	size_t		len;
	size_t		i;
	bool		good;

	check(kms_rsa_oaep_encrypt(public_key, oaep, BYTES(plain), cipher,
							   &len) == KMS_OK, "a ciphertext with a label");
	for (i = 0; i < LENGTH_OF(oaep_cases); i++)
		check(decrypt(key, &oaep_cases[i].oaep, cipher, len, BYTES(plain),
					  &good) == oaep_cases[i].status && good,
			  "opened with %s: status %d", oaep_cases[i].name,
			  oaep_cases[i].status);
	check(kms_rsa_oaep_encrypt(public_key, &none, BYTES(plain), longer,
							   &i) == KMS_FAILED && i == 0,
		  "nothing is encrypted without a digest");
	check_number((long long) kms_rsa_oaep_max_plaintext(key, KMS_DIGEST_NONE), 0,
				 "without a digest there is no longest plaintext");

	memcpy(longer, cipher, len);
	check(decrypt(key, oaep, longer, len + 1, BYTES(plain),
				  &good) == KMS_BAD_LENGTH && good, "a byte more");
	check(decrypt(key, oaep, cipher, len - 1, BYTES(plain),
				  &good) == KMS_BAD_LENGTH && good, "a byte less");
	check(decrypt(key, oaep, cipher, 0, BYTES(plain),
				  &good) == KMS_BAD_LENGTH && good, "no byte");
	check(decrypt(public_key, oaep, cipher, len, BYTES(plain),
				  &good) == KMS_BAD_KEY && good, "a public key opens nothing");
}

/* The numbers that textbooks warn of (0, 1, n - 1, n, all ones). */
static void
test_special_numbers(const Pair *pair)
{
	KmsKeyPair *key = open_private(pair);
	KmsOaep		oaep = {KMS_SHA1, KMS_DIGEST_NONE, NULL, 0};
	size_t		block = kms_key_pair_block_size(key);
	const unsigned char *n;
	unsigned char cipher[KMS_RSA_MAX_BLOCK];
	bool		good;

	/* 30 82 .. .. 02 01 00 02 82 .. .. 00 and the modulus */
	n = pair->private_der + 12;
	memset(cipher, 0, sizeof(cipher));
	check(decrypt(key, &oaep, cipher, block, NULL, 0,
				  &good) == KMS_REJECTED && good, "c = 0");
	cipher[block - 1] = 1;
	check(decrypt(key, &oaep, cipher, block, NULL, 0,
				  &good) == KMS_REJECTED && good, "c = 1");
	memcpy(cipher, n, block);
	check(decrypt(key, &oaep, cipher, block, NULL, 0,
				  &good) == KMS_REJECTED && good, "c = n");
	cipher[block - 1]--;
	check(decrypt(key, &oaep, cipher, block, NULL, 0,
				  &good) == KMS_REJECTED && good, "c = n - 1");
	memset(cipher, 0xff, block);
	check(decrypt(key, &oaep, cipher, block, NULL, 0,
				  &good) == KMS_REJECTED && good, "c = 2^bits - 1");
	kms_key_pair_free(key);
}

static uint32_t
random_number(void)
{
	uint32_t	number;

	if (RAND_bytes((unsigned char *) &number, sizeof(number)) != 1)
		exit(2);
	return number;
}

static void
mutate(unsigned char *cipher, size_t len)
{
	uint32_t	kind = random_number() % 4;
	size_t		at = random_number() % len;

	if (kind == 0)
		cipher[at] ^= (unsigned char) (1 << random_number() % 8);
	else if (kind == 1)
		cipher[at] = (unsigned char) random_number();
	else if (kind == 2)
		memset(cipher + at, (int) random_number(), len - at);
	else if (RAND_bytes(cipher, (int) len) != 1)
		exit(2);
}

static void
test_mutations(KmsKeyPair *key)
{
	static const unsigned char plain[] = {'1', '2', '3', '4'};
	unsigned char cipher[KMS_RSA_MAX_BLOCK];
	unsigned char bad[KMS_RSA_MAX_BLOCK];
	KmsOaep		oaep = {KMS_SHA1, KMS_DIGEST_NONE, NULL, 0};
	int			others = 0;
	size_t		len = 0;
	int			i;

	for (i = 0; i < MUTATIONS; i++)
	{
		KmsStatus	expected;
		KmsStatus	status;
		bool		good;

		if (i % MUTATIONS_EACH == 0 &&
			kms_rsa_oaep_encrypt(key, &oaep, BYTES(plain), cipher, &len) != KMS_OK)
			others++;
		memcpy(bad, cipher, len);
		mutate(bad, len);
		expected = memcmp(bad, cipher, len) == 0 ? KMS_OK : KMS_REJECTED;
		status = decrypt(key, &oaep, bad, len, BYTES(plain), &good);
		if (status != expected || !good)
			others++;
	}
	check_number(others, 0, "10000 mutations are rejected, and wiped");
}

/* ---- generation ------------------------------------------------------- */

static bool
stop_after(void *arg)
{
	int		   *left = arg;

	return (*left)-- <= 0;
}

static void
test_generate(void)
{
	static const int bad_bits[] = {0, -1, 512, 1024, 2047, 2049, 8192};
	unsigned char der[KMS_KEY_PAIR_MAX_PRIVATE];
	unsigned char public_der[KMS_KEY_PAIR_MAX_PUBLIC];
	unsigned char again_der[KMS_KEY_PAIR_MAX_PUBLIC];
	KmsKeyPair *key;
	KmsKeyPair *again;
	size_t		len;
	size_t		public_len;
	size_t		again_len;
	size_t		i;
	int			left;

	left = 1000000;
	check(kms_rsa_generate(2048, stop_after, &left, &key) == KMS_OK &&
		  kms_key_pair_block_size(key) == 2048 / 8 && left < 1000000,
		  "a key is made, and the callback asked");
	check(kms_key_pair_private_der(key, BYTES(der), &len) == KMS_OK &&
		  kms_key_pair_public_der(key, BYTES(public_der), &public_len) == KMS_OK &&
		  memmem(public_der, public_len, "\002\003\001\000\001", 5) != NULL,
		  "the exponent of a generated key is 65537");
	check(kms_key_pair_open_private(opener, KMS_TYPE_RSA, der, len, &again) == KMS_OK &&
		  kms_key_pair_public_der(again, BYTES(again_der), &again_len) == KMS_OK &&
		  again_len == public_len &&
		  memcmp(again_der, public_der, public_len) == 0,
		  "a generated key opens from its DER");
	kms_key_pair_free(again);
	kms_key_pair_free(key);

	for (left = 0; left < 40; left += 13)
	{
		int			count = left;

		key = (KmsKeyPair *) &count;
		check(kms_rsa_generate(4096, stop_after, &count,
							   &key) == KMS_INTERRUPTED && key == NULL,
			  "the callback stops it at %d", left);
		check_number(count, -1, "the callback is not asked again");
	}
	for (i = 0; i < LENGTH_OF(bad_bits); i++)
		check(kms_rsa_generate(bad_bits[i], NULL, NULL,
							   &key) == KMS_FAILED && key == NULL,
			  "no key of %d bits", bad_bits[i]);
	check(kms_rsa_generate(2048, NULL, NULL, &key) == KMS_OK,
		  "a key is made without a callback");
	kms_key_pair_free(key);
}

/* ---- the secure heap -------------------------------------------------- */

static void
test_secure_heap(void)
{
	KmsKeyPair *keys[KEYS_MAX] = {NULL};
	KmsKeyPair *key;
	KmsStatus	status = KMS_OK;
	int			count;
	int			i;

	check(CRYPTO_secure_malloc_init(SECURE_HEAP, 32) != 0, "a secure heap");
	for (count = 0; count < KEYS_MAX; count++)
	{
		status = kms_key_pair_open_private(opener, KMS_TYPE_RSA, BYTES(key_2048), &keys[count]);
		if (status != KMS_OK)
			break;
	}
	check(count >= 10 && count < KEYS_MAX && keys[count] == NULL &&
		  status == KMS_NO_MEMORY,
		  "a full secure heap is told after %d keys", count);
	check(CRYPTO_secure_used() >= (size_t) count * 896,
		  "the numbers of the keys are in it");

	/* a larger key, and then a smaller one again */
	check(kms_key_pair_open_private(opener, KMS_TYPE_RSA, BYTES(key_4096),
									&key) == KMS_NO_MEMORY && key == NULL,
		  "a full secure heap has no room for a larger key");
	check(kms_rsa_generate(2048, NULL, NULL, &key) == KMS_NO_MEMORY &&
		  key == NULL, "a full secure heap has no room to generate a key");
	check(kms_key_pair_open_public(opener, KMS_TYPE_RSA, BYTES(public_2048), &key) == KMS_OK,
		  "public keys open still");
	kms_key_pair_free(key);
	kms_key_pair_free(keys[0]);
	keys[0] = NULL;
	check(kms_key_pair_open_private(opener, KMS_TYPE_RSA, BYTES(key_2048), &keys[0]) == KMS_OK,
		  "there is room when a key is freed");
	for (i = 0; i < count; i++)
		kms_key_pair_free(keys[i]);
	check_number((long long) CRYPTO_secure_used(), 0, "all of it is freed");
	check(kms_key_pair_open_private(opener, KMS_TYPE_RSA, BYTES(multiprime_2048),
									&key) == KMS_BAD_KEY,
		  "a bad key is no lack of memory");
	check(CRYPTO_secure_malloc_done() == 1, "the secure heap ends");
}

/* ---- numbers ----------------------------------------------------------- */

static void
test_numbers(const Pair *pair)
{
	const unsigned char *n = pair->public_der + MODULUS_AT;
	size_t		n_len = (size_t) pair->bits / 8;
	KmsPublicNumbers numbers;

	check(kms_key_pair_public_numbers(opener, KMS_TYPE_RSA, pair->public_der, pair->public_len,
									  &numbers) == KMS_OK && ERR_peek_error() == 0,
		  "%s: its numbers", pair->name);
	check(n[-1] == 0 && numbers.n_len == n_len && numbers.n[0] != 0 &&
		  memcmp(numbers.n, n, n_len) == 0,
		  "%s: the modulus, without a leading zero", pair->name);
	check(numbers.e_len == 3 && memcmp(numbers.e, "\1\0\1", 3) == 0,
		  "%s: the exponent", pair->name);
	check(is_all(numbers.n + n_len, sizeof(numbers.n) - n_len, 0) &&
		  is_all(numbers.e + 3, sizeof(numbers.e) - 3, 0),
		  "%s: nothing behind them", pair->name);
}

static void
test_bad_numbers(void)
{
	KmsPublicNumbers numbers;
	size_t		i;

	for (i = 0; i < LENGTH_OF(bad_public); i++)
	{
		memset(&numbers, 0xff, sizeof(numbers));
		check(kms_key_pair_public_numbers(opener, KMS_TYPE_RSA, bad_public[i].der,
										  bad_public[i].len,
										  &numbers) == KMS_BAD_KEY &&
			  is_all(&numbers, sizeof(numbers), 0) && ERR_peek_error() == 0,
			  "no numbers: %s", bad_public[i].name);
	}
}

int
main(void)
{
	KmsKeyPair *key;
	KmsKeyPair *public_key;
	size_t		i;

	opener = kms_key_pair_opener_new();
	if (opener == NULL)
	{
		printf("Bail out! no opener\n");
		return 1;
	}
	for (i = 0; i < LENGTH_OF(pairs); i++)
	{
		test_der(&pairs[i]);
		test_numbers(&pairs[i]);
		test_special_numbers(&pairs[i]);
		test_all_digests(&pairs[i]);
	}
	test_bad_keys(bad_private, LENGTH_OF(bad_private), kms_key_pair_open_private,
				  "private");
	test_bad_keys(bad_public, LENGTH_OF(bad_public), kms_key_pair_open_public,
				  "public");
	test_cut_and_extended(BYTES(key_2048), kms_key_pair_open_private, "private");
	test_cut_and_extended(BYTES(public_2048), kms_key_pair_open_public, "public");
	test_pem();
	test_bad_numbers();

	key = open_private(&pairs[0]);
	public_key = open_public(&pairs[0]);
	test_oaep_cases(key, public_key);
	test_mutations(key);
	kms_key_pair_free(key);
	kms_key_pair_free(public_key);
	kms_key_pair_free(NULL);

	test_generate();
	test_secure_heap();
	kms_key_pair_opener_free(opener);
	kms_key_pair_opener_free(NULL);
	return tap_done();
}
