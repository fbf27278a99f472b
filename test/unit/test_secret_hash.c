#include <crypt.h>
#include <stdlib.h>

#include "crypto/secret_hash.h"
#include "tap.h"

#define HASH_31	"CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"
#define SALT_22 "CCCCCCCCCCCCCCCCCCCCC."
#define HASH_43 "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC"
#define SALT_86 HASH_43 "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC."
#define ID_64 \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_."

/*
 * Made elsewhere: crypt_blowfish's and PHP's documentation, libxcrypt's known
 * answers; the peppered ones with Python's hmac and crypt, pepper 00 01 … 1f.
 */
typedef struct Vector
{
	const char *hash;
	const char *secret;
	size_t		len;
	const char *name;
} Vector;

static const Vector vectors[] = {
	{"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
	"U*U", 3, "bcrypt 2a"},
	{"$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK",
	"U*U*", 4, "bcrypt 2a, another one"},
	{"$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a",
	"U*U*U", 5, "bcrypt 2a, another salt"},
	{"$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
	"", 0, "bcrypt of nothing"},
	{"$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
	"U*U", 3, "bcrypt 2y"},
	{"$2a$07$usesomesillystringfore2uDLvp1Ii2e./U9C8sBjqp8I90dH6hi",
	"rasmuslerdorf", 13, "bcrypt of PHP"},
	{"$2b$10$WvvTPHKwdBJ3uk0Z37EMR.hLA2W6N9AEBhEgrAOljy2Ae5MtaSIUi",
	"abc", 3, "bcrypt 2b"},
	{"$y$j75$.......$stbr2M6i8w/SU36N/.i6VVEHCMYG2OkDpj/I1wKYZC4",
	"abc", 3, "yescrypt"},
	{"$y$j75$z7ztFz2FayrKI79/jEwlL.$u5x/j193MQ09wbFaRGYr0AH/A/jh3kunjuhYRVRNkmC",
	"test1", 5, "another yescrypt"},
	{"$kms1$p-1$$2b$04$abcdefghijklmnopqrstuurmC9l.VLUlO8RAOfWUpFdVJZOWKIOxS",
	"4711", 4, "ours"},
	{"$kms1$p-1$$2b$10$abcdefghijklmnopqrstuu09lJSK8fGlKWs5/eBSIV2VU/s14h2Na",
	"4711", 4, "ours of cost 10"},
	{"$kms1$p-1$$2b$04$abcdefghijklmnopqrstuuBEuw2vxrRL/UoejNcW30Fl5kmQWmtu.",
	"", 0, "ours of nothing"},
	{"$kms1$p-1$$2b$04$abcdefghijklmnopqrstuu8VF/bJwO.gOwyncE8qM7uaW8seEv312",
	"a\0b", 3, "ours with a NUL"},
	{"$kms1$p-1$$2b$04$abcdefghijklmnopqrstuuYwv8rMXkt6nhaWc4KyNUdNbMuGsEGy6",
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	100, "ours of 100 bytes"}
};

static unsigned char pepper[KMS_PEPPER_SIZE];

static KmsStatus
parse(const char *hash_text, KmsSecretHash *hash)
{
	return kms_secret_hash_parse(hash_text, strlen(hash_text), hash);
}

static void
test_vector(const Vector *v)
{
	KmsSecretHash hash;
	const unsigned char *own;
	unsigned char other[128];
	bool		match = false;

	if (!check(parse(v->hash, &hash) == KMS_OK, "%s: parsed", v->name))
		return;
	own = hash.pepper_id[0] != '\0' ? pepper : NULL;
	check(kms_secret_hash_verify(&hash, own,
								 (const unsigned char *) v->secret, v->len,
								 &match) == KMS_OK && match,
		  "%s: verifies", v->name);
	memcpy(other, v->secret, v->len);
	other[v->len] = 'x';
	check(kms_secret_hash_verify(&hash, own, other, v->len + 1,
								 &match) == KMS_OK && !match,
		  "%s: not with a byte more", v->name);
	check(kms_secret_hash_verify(&hash, own == NULL ? pepper : NULL,
								 (const unsigned char *) v->secret, v->len,
								 &match) == KMS_FAILED && !match,
		  "%s: not with a pepper too many or too few", v->name);
}

static const char *const good[] = {
	"$2a$04$" SALT_22 HASH_31,
	"$2b$10$" SALT_22 HASH_31,
	"$2y$14$" SALT_22 HASH_31,
	"$y$j75$" SALT_22 "$" HASH_43,
	"$y$j9T$" SALT_22 "$" HASH_43,
	"$y$jBT$" SALT_22 "$" HASH_43,
	"$y$j75$..$" HASH_43,
	"$y$j75$" SALT_86 "$" HASH_43,
	"$kms1$p$$2b$10$" SALT_22 HASH_31,
	"$kms1$" ID_64 "$$2b$14$" SALT_22 HASH_31,
	"$kms1$pep_0$$y$j9T$" SALT_22 "$" HASH_43
};

static const char *const bad[] = {
	"", "$", "*", "*0", "*1", "x", "$2b$", "$y$", "$y$j9T$", "$kms1$",
	"abJnggxhB/yWI",			/* DES */
	"_J9..CCCCXBrJUJV154M",
	"$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/",
	"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8",
	"$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjlO/O817G3uBnIFNjnQJuesI"
	"68OTLiBFdcbYEdFCoEOfaS35inz1",
	"$7$CU..../....$" HASH_43,
	"$gy$j9T$" SALT_22 "$" HASH_43,
	"$2x$10$" SALT_22 HASH_31,
	"$2$10$" SALT_22 HASH_31,
	"$2c$10$" SALT_22 HASH_31,
	"$2b$03$" SALT_22 HASH_31,
	"$2b$15$" SALT_22 HASH_31,
	"$2b$31$" SALT_22 HASH_31,
	"$2b$1:$" SALT_22 HASH_31,
	"$2b$ 9$" SALT_22 HASH_31,
	"$2b$10$" SALT_22 HASH_31 ".",
	"$2b$10$" SALT_22 "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCC",
	"$2b$10$" SALT_22 "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCC=",
	"$2b$10$" SALT_22 "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCC\n",
	" $2b$10$" SALT_22 HASH_31,
	"$y$jCT$" SALT_22 "$" HASH_43,	/* 128 MiB */
	"$y$jFT$" SALT_22 "$" HASH_43,
	"$y$jzT$" SALT_22 "$" HASH_43,
	"$y$j9z$" SALT_22 "$" HASH_43,
	"$y$j9T.$" SALT_22 "$" HASH_43, /* more parameters */
	"$y$j9T0.$" SALT_22 "$" HASH_43,
	"$y$.9T$" SALT_22 "$" HASH_43,	/* another flavour */
	"$y$j9T$$" HASH_43,
	"$y$j9T$.$" HASH_43,		/* no whole byte of salt */
	"$y$j9T$.....$" HASH_43,
	"$y$j9T$.2$" HASH_43,		/* bits left over */
	"$y$j9T$..E$" HASH_43,
	"$y$j9T$" SALT_86 ".$" HASH_43,
	"$y$j9T$" SALT_22 "$" HASH_43 ".",
	"$y$j9T$" SALT_22 "." HASH_43,
	"$y$j9T$" SALT_22 "$$" "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC",
	"$kms1$$$2b$10$" SALT_22 HASH_31,
	"$kms1$" ID_64 "x$$2b$10$" SALT_22 HASH_31,
	"$kms1$a b$$2b$10$" SALT_22 HASH_31,
	"$kms1$a/b$$2b$10$" SALT_22 HASH_31,
	"$kms1$a:b$$2b$10$" SALT_22 HASH_31,
	"$kms1$p$",
	"$kms1$p$2b$10$" SALT_22 HASH_31,
	"$kms1$p$$$2b$10$" SALT_22 HASH_31,
	"$kms1$p",
	"$kms1$p$$2b$15$" SALT_22 HASH_31,
	"$kms1$p$$y$jCT$" SALT_22 "$" HASH_43,
	"$kms1$p$$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/",
	"$kms1$p$$kms1$q$$2b$10$" SALT_22 HASH_31,
	"$kms2$p$$2b$10$" SALT_22 HASH_31
};

static void
test_bad(const char *hash_text)
{
	KmsSecretHash hash;

	memset(&hash, 0xff, sizeof(hash));
	check(parse(hash_text, &hash) == KMS_BAD_FORMAT &&
		  is_all(&hash, sizeof(hash), 0), "not taken: %.40s", hash_text);
}

/* A hash that is accepted is accepted by libcrypt, too. */
static void
test_good(const char *hash_text)
{
	KmsSecretHash hash;
	struct crypt_data *data = calloc(1, sizeof(struct crypt_data));

	check(parse(hash_text, &hash) == KMS_OK &&
		  strcmp(strstr(hash_text, hash.crypted), hash.crypted) == 0 &&
		  (strncmp(hash_text, "$kms1$", 6) == 0) ==
		  (hash.pepper_id[0] != '\0'), "taken: %.40s", hash_text);
	if (strncmp(hash.crypted + 3, "14", 2) != 0)
		check(crypt_rn("x", hash.crypted, data, sizeof(*data)) != NULL,
			  "libcrypt accepts it as well");
	free(data);
}

/* A hash that is cut off anywhere, or has a NUL anywhere. */
static void
test_every_truncation(const char *whole)
{
	size_t		len = strlen(whole);
	bool		ok = true;
	KmsSecretHash hash;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		char	   *copy = malloc(len);

		memcpy(copy, whole, i);
		copy = realloc(copy, i > 0 ? i : 1);
		ok = ok && kms_secret_hash_parse(copy, i, &hash) == KMS_BAD_FORMAT;
		free(copy);
		copy = malloc(len);
		memcpy(copy, whole, len);
		copy[i] = '\0';
		ok = ok && kms_secret_hash_parse(copy, len, &hash) == KMS_BAD_FORMAT;
		free(copy);
	}
	check(ok, "cut off or with a NUL anywhere: %.20s", whole);
}

/* The parameters taken are what crypt_gensalt makes, and no others of it. */
static void
test_gensalt(void)
{
	unsigned long count;

	for (count = 1; count <= 11; count++)
	{
		char		setting[CRYPT_GENSALT_OUTPUT_SIZE];
		char		whole[CRYPT_GENSALT_OUTPUT_SIZE + 64];
		KmsSecretHash hash;

		if (crypt_gensalt_rn("$y$", count, "0123456789abcdef", 16, setting,
							 sizeof(setting)) == NULL)
			continue;
		snprintf(whole, sizeof(whole), "%s$" HASH_43, setting);
		check((parse(whole, &hash) == KMS_OK) == (count <= 7),
			  "yescrypt of count %lu is %s", count,
			  count <= 7 ? "taken" : "not taken");
	}
}

static void
test_make(void)
{
	static const unsigned char with_nul[] = {'4', '7', 0, '1'};
	unsigned char long_secret[100];
	char		out[KMS_SECRET_HASH_MADE + 1];
	char		again[KMS_SECRET_HASH_MADE + 1];
	unsigned char other[KMS_PEPPER_SIZE] = {1};
	KmsSecretHash hash;
	bool		match;

	check(kms_secret_hash_make("pep_1", pepper, with_nul, 4, out) == KMS_OK &&
		  strncmp(out, "$kms1$pep_1$$2b$10$", 19) == 0 &&
		  strlen(out) == 12 + 60, "a hash is made, of cost 10");
	check(kms_secret_hash_make("pep_1", pepper, with_nul, 4, again) == KMS_OK &&
		  strcmp(out, again) != 0, "each has a salt of its own");
	check(parse(out, &hash) == KMS_OK &&
		  kms_secret_hash_verify(&hash, pepper, with_nul, 4, &match) ==
		  KMS_OK && match, "the secret verifies");
	check(kms_secret_hash_verify(&hash, pepper, with_nul, 2, &match) ==
		  KMS_OK && !match, "what comes after a NUL counts");
	check(kms_secret_hash_verify(&hash, other, with_nul, 4, &match) ==
		  KMS_OK && !match, "the secret does not verify under another pepper");

	memset(long_secret, 'a', sizeof(long_secret));
	check(kms_secret_hash_make(ID_64, pepper, long_secret, 100, out) ==
		  KMS_OK && strlen(out) == KMS_SECRET_HASH_MADE &&
		  parse(out, &hash) == KMS_OK &&
		  kms_secret_hash_verify(&hash, pepper, long_secret, 99, &match) ==
		  KMS_OK && !match, "bytes beyond 72 count");
	check(kms_secret_hash_make("p", pepper, NULL, 0, out) == KMS_OK &&
		  parse(out, &hash) == KMS_OK &&
		  kms_secret_hash_verify(&hash, pepper, NULL, 0, &match) == KMS_OK &&
		  match, "nothing is a secret, too");
	check(kms_secret_hash_make("", pepper, with_nul, 4, out) ==
		  KMS_BAD_FORMAT && out[0] == '\0', "no id");
	check(kms_secret_hash_make(ID_64 "x", pepper, with_nul, 4, out) ==
		  KMS_BAD_FORMAT && out[0] == '\0',
		  "an id that is too long is refused");
}

static void
test_foreign_bytes(void)
{
	unsigned char secret[600];
	KmsSecretHash hash;
	bool		match = true;

	memset(secret, 'x', sizeof(secret));
	(void) parse("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
				 &hash);
	memcpy(secret, "U*U", 4);
	check(kms_secret_hash_verify(&hash, NULL, secret, 4, &match) == KMS_OK &&
		  !match, "a secret with a NUL never matches a foreign hash");
	(void) parse("$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy",
				 &hash);
	check(kms_secret_hash_verify(&hash, NULL, secret + 3, 1, &match) ==
		  KMS_OK && !match, "a NUL does not match the empty secret");
	memset(secret, 'x', sizeof(secret));
	check(kms_secret_hash_verify(&hash, NULL, secret, 600, &match) ==
		  KMS_OK && !match,
		  "a secret that is too long for libcrypt never matches");
	check(kms_secret_hash_burn(&hash) == KMS_OK &&
		  kms_secret_hash_burn(NULL) == KMS_OK, "time is burnt");
}

static void
test_pepper(void)
{
	char		id[KMS_PEPPER_ID_MADE + 1];
	char		other_id[KMS_PEPPER_ID_MADE + 1];
	unsigned char one[KMS_PEPPER_SIZE];
	unsigned char other[KMS_PEPPER_SIZE];

	check(kms_secret_hash_make_pepper(id, one) == KMS_OK &&
		  kms_secret_hash_make_pepper(other_id, other) == KMS_OK &&
		  strcmp(id, other_id) != 0 && memcmp(one, other, sizeof(one)) != 0,
		  "peppers and their ids are random");
	check(strlen(id) == KMS_PEPPER_ID_MADE && strncmp(id, "pep_", 4) == 0 &&
		  strspn(id + 4, "0123456789abcdef") == 24 &&
		  kms_key_id_valid(id, strlen(id)), "an id has its form: %s", id);
}

int
main(void)
{
	size_t		i;

	for (i = 0; i < sizeof(pepper); i++)
		pepper[i] = (unsigned char) i;
	for (i = 0; i < LENGTH_OF(vectors); i++)
		test_vector(&vectors[i]);
	for (i = 0; i < LENGTH_OF(good); i++)
		test_good(good[i]);
	for (i = 0; i < LENGTH_OF(bad); i++)
		test_bad(bad[i]);
	test_every_truncation("$2b$10$" SALT_22 HASH_31);
	test_every_truncation("$kms1$pep_0$$2b$10$" SALT_22 HASH_31);
	test_every_truncation("$y$j9T$" SALT_22 "$" HASH_43);
	test_gensalt();
	test_make();
	test_foreign_bytes();
	test_pepper();
	return tap_done();
}
