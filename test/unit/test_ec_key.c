/*
 * Keys for ECDH: encodings against those of OpenSSL, agreements against the
 * RFCs, and what is refused.
 */
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "crypto/ec_generate.h"
#include "crypto/ecdh.h"
#include "crypto/key_pair.h"
#include "crypto/rsa_oaep.h"
#include "hex.h"
#include "keys.h"
#include "tap.h"

#define SECURE_HEAP 8192		/* bytes */
#define PIECE		32
#define KEYS_MAX	512			/* more than fit into it */
#define COORDINATE	KMS_COORDINATE_SIZE
#define DER_MAX		1024		/* bytes; of any key here */

#define BYTES(array) array, sizeof(array)

static KmsKeyOpener *opener;

typedef struct Type
{
	KmsKeyType	type;
	const char *name;
	size_t		private_len;	/* bytes of DER, as the others */
	size_t		public_len;
	size_t		number_at;		/* in the private key */
	size_t		point_at;		/* in the public key */
} Type;

static const Type p256 = {KMS_TYPE_EC_P256, "EC-P256", 138, 91, 36, 27};
static const Type x25519 = {KMS_TYPE_X25519, "X25519", 48, 44, 16, 12};

typedef struct Der
{
	unsigned char bytes[DER_MAX];
	size_t		len;
} Der;

typedef KmsStatus (*Open) (KmsKeyOpener *opener, KmsKeyType type,
						   const unsigned char *der, size_t len,
						   KmsKeyPair **key);

static void
give_up(const char *why)
{
	printf("Bail out! %s\n", why);
	exit(1);
}

static KmsKeyPair *
generate(KmsKeyType type)
{
	KmsKeyPair *key = NULL;

	if (kms_ec_generate(type, &key) != KMS_OK)
		give_up("no key");
	return key;
}

static Der
private_of(const KmsKeyPair *key)
{
	Der			der;

	if (kms_key_pair_private_der(key, BYTES(der.bytes), &der.len) != KMS_OK)
		give_up("a private key cannot be written");
	return der;
}

static Der
public_of(const KmsKeyPair *key)
{
	Der			der;

	if (kms_key_pair_public_der(key, BYTES(der.bytes), &der.len) != KMS_OK)
		give_up("a public key cannot be written");
	return der;
}

static KmsPublicNumbers
numbers_of(const KmsKeyPair *key)
{
	Der			der = public_of(key);
	KmsPublicNumbers numbers;

	if (kms_key_pair_public_numbers(opener, kms_key_pair_type(key), der.bytes,
									der.len, &numbers) != KMS_OK)
		give_up("a key has no numbers");
	return numbers;
}

static bool
is_same(const Der *a, const Der *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* Open from memory of the very size; nothing may be left behind. */
static KmsStatus
try_open(Open open, KmsKeyType type, const unsigned char *der, size_t len)
{
	unsigned char *copy = malloc(len > 0 ? len : 1);
	KmsKeyPair *key = (KmsKeyPair *) &copy;
	KmsStatus	status;

	if (len > 0)
		memcpy(copy, der, len);
	status = open(opener, type, copy, len, &key);
	check((status == KMS_OK) == (key != NULL) && ERR_peek_error() == 0,
		  "a key or none, and no error is left");
	kms_key_pair_free(key);
	free(copy);
	return status;
}

/* ---- writing and opening ---------------------------------------------- */

static Der
der_of_openssl(EVP_PKEY *pkey, bool is_private)
{
	PKCS8_PRIV_KEY_INFO *info = NULL;
	unsigned char *bytes = NULL;
	int			len;
	Der			der;

	if (is_private)
	{
		info = EVP_PKEY2PKCS8(pkey);
		len = i2d_PKCS8_PRIV_KEY_INFO(info, &bytes);
	}
	else
		len = i2d_PUBKEY(pkey, &bytes);
	if (len < 1 || len > DER_MAX)
		give_up("OpenSSL does not write a key");
	memcpy(der.bytes, bytes, (size_t) len);
	der.len = (size_t) len;
	OPENSSL_free(bytes);
	PKCS8_PRIV_KEY_INFO_free(info);
	return der;
}

/* Return whether OpenSSL reads both encodings, and writes the same. */
static bool
agrees_with_openssl(const Der *private_der, const Der *public_der)
{
	const unsigned char *p = private_der->bytes;
	EVP_PKEY   *pkey = d2i_AutoPrivateKey(NULL, &p, (long) private_der->len);
	Der			again;
	bool		ok;

	if (pkey == NULL)
		return false;
	again = der_of_openssl(pkey, true);
	ok = is_same(&again, private_der);
	again = der_of_openssl(pkey, false);
	ok = ok && is_same(&again, public_der);
	EVP_PKEY_free(pkey);
	return ok;
}

static void
test_der(const Type *type)
{
	KmsKeyPair *key = generate(type->type);
	KmsKeyPair *public_key = NULL;
	KmsKeyPair *again = NULL;
	Der			private_der = private_of(key);
	Der			public_der = public_of(key);
	Der			other;
	char		name[KMS_KEY_ALGORITHM_SIZE];

	kms_key_pair_algorithm(key, name);
	check(strcmp(name, type->name) == 0 &&
		  kms_key_pair_type(key) == type->type, "%s: its name", type->name);
	check(kms_key_pair_block_size(key) == 0, "%s: there is no modulus",
		  type->name);
	check(private_der.len == type->private_len &&
		  public_der.len == type->public_len, "%s: the lengths", type->name);
	check(agrees_with_openssl(&private_der, &public_der),
		  "%s: OpenSSL reads and writes the same", type->name);

	check(kms_key_pair_open_private(opener, type->type, private_der.bytes,
									private_der.len, &again) == KMS_OK,
		  "%s: the private key opens", type->name);
	other = private_of(again);
	check(is_same(&other, &private_der), "%s: and is the same", type->name);
	other = public_of(again);
	check(is_same(&other, &public_der), "%s: and its public half is",
		  type->name);
	check(kms_key_pair_open_public(opener, type->type, public_der.bytes,
								   public_der.len, &public_key) == KMS_OK,
		  "%s: the public key opens", type->name);
	other = public_of(public_key);
	check(is_same(&other, &public_der), "%s: and is the same", type->name);
	check(kms_ec_generate_check_pair(again) == KMS_OK,
		  "%s: the opened key is a pair", type->name);

	memset(other.bytes, 0xff, sizeof(other.bytes));
	check(kms_key_pair_private_der(public_key, BYTES(other.bytes),
								   &other.len) == KMS_BAD_KEY &&
		  other.len == 0 && is_all(BYTES(other.bytes), 0),
		  "%s: a public key has no private half", type->name);
	check(kms_ec_generate_check_pair(public_key) == KMS_BAD_KEY,
		  "%s: nor is it a pair", type->name);
	memset(other.bytes, 0xff, sizeof(other.bytes));
	check(kms_key_pair_private_der(key, other.bytes, type->private_len - 1,
								   &other.len) == KMS_TOO_LONG &&
		  other.len == 0 && is_all(other.bytes, type->private_len - 1, 0) &&
		  other.bytes[type->private_len - 1] == 0xff,
		  "%s: a buffer too small by one is wiped", type->name);
	check(kms_key_pair_public_der(key, other.bytes, type->public_len - 1,
								  &other.len) == KMS_TOO_LONG &&
		  other.len == 0, "%s: the same for the public key", type->name);
	kms_key_pair_free(again);
	kms_key_pair_free(public_key);
	kms_key_pair_free(key);
}

/* Nor does a number lose leading zeros. */
static void
test_numbers(const Type *type)
{
	KmsPublicNumbers numbers;
	KmsKeyPair *key;
	Der			private_der;
	Der			public_der;
	int			seen = 0;
	bool		ok = true;

	/* in one of 256 keys each is shorter than its field */
	while (seen != (type->type == KMS_TYPE_EC_P256 ? 7 : 3))
	{
		if (kms_ec_generate_ephemeral(type->type, &key) != KMS_OK)
			give_up("no key");
		private_der = private_of(key);
		public_der = public_of(key);
		numbers = numbers_of(key);
		if (private_der.bytes[type->number_at] == 0)
			seen |= 1;
		if (numbers.x[0] == 0)
			seen |= 2;
		if (numbers.y[0] == 0 && type->type == KMS_TYPE_EC_P256)
			seen |= 4;
		if (private_der.bytes[type->number_at] == 0 || numbers.x[0] == 0 ||
			numbers.y[0] == 0)
			ok = ok && agrees_with_openssl(&private_der, &public_der);
		ok = ok && memcmp(numbers.x, public_der.bytes + type->point_at,
						  COORDINATE) == 0;
		if (type->type == KMS_TYPE_EC_P256)
			ok = ok && memcmp(numbers.y, public_der.bytes + type->point_at +
							  COORDINATE, COORDINATE) == 0;
		else
			ok = ok && is_all(BYTES(numbers.y), 0);
		ok = ok && numbers.n_len == 0 && numbers.e_len == 0;
		kms_key_pair_free(key);
	}
	check(ok, "%s: numbers have all their bytes", type->name);

	memset(&numbers, 0xff, sizeof(numbers));
	check(kms_key_pair_public_numbers(opener, type->type, BYTES(public_2048),
									  &numbers) == KMS_BAD_KEY &&
		  is_all(&numbers, sizeof(numbers), 0), "%s: no numbers of an RSA key",
		  type->name);
	check(kms_key_pair_public_numbers(opener, KMS_TYPE_RSA, public_der.bytes,
									  public_der.len,
									  &numbers) == KMS_BAD_KEY,
		  "%s: nor those of RSA", type->name);
}

static void
test_pem(const Type *type)
{
	KmsKeyPair *key = generate(type->type);
	Der			der = public_of(key);
	char		pem[KMS_KEY_PAIR_MAX_PEM];

	check(kms_key_pair_public_pem(der.bytes, der.len, pem,
								  sizeof(pem)) == KMS_OK &&
		  strncmp(pem, "-----BEGIN PUBLIC KEY-----\nM", 28) == 0,
		  "%s: PEM", type->name);
	kms_key_pair_free(key);
}

/* ---- refusals ---------------------------------------------------------- */

/* A key that OpenSSL writes: "private" as PKCS#8, or as SEC1 if "old". */
static void
test_refused(const char *name, EVP_PKEY *pkey)
{
	Der			der;
	unsigned char *old = NULL;
	int			old_len;

	if (pkey == NULL)
		give_up("OpenSSL does not make a key");
	der = der_of_openssl(pkey, true);
	check(try_open(kms_key_pair_open_private, KMS_TYPE_EC_P256, der.bytes,
				   der.len) == KMS_BAD_KEY &&
		  try_open(kms_key_pair_open_private, KMS_TYPE_X25519, der.bytes,
				   der.len) == KMS_BAD_KEY, "refused as private: %s", name);
	der = der_of_openssl(pkey, false);
	check(try_open(kms_key_pair_open_public, KMS_TYPE_EC_P256, der.bytes,
				   der.len) == KMS_BAD_KEY &&
		  try_open(kms_key_pair_open_public, KMS_TYPE_X25519, der.bytes,
				   der.len) == KMS_BAD_KEY, "refused as public: %s", name);
	old_len = i2d_PrivateKey(pkey, &old);
	check(old_len > 0 &&
		  try_open(kms_key_pair_open_private, KMS_TYPE_EC_P256, old,
				   (size_t) old_len) == KMS_BAD_KEY,
		  "refused as private: %s, not in PKCS#8", name);
	OPENSSL_free(old);
	EVP_PKEY_free(pkey);
}

/* A key on P-256 with this value of an option of its encoding. */
static EVP_PKEY *
encoded_p256(const char *option, const char *value)
{
	EVP_PKEY   *pkey = EVP_EC_gen("P-256");

	if (EVP_PKEY_set_utf8_string_param(pkey, option, value) != 1)
		give_up("OpenSSL does not encode a key otherwise");
	return pkey;
}

static void
test_others(void)
{
	test_refused("P-256 with explicit parameters",
				 encoded_p256(OSSL_PKEY_PARAM_EC_ENCODING,
							  OSSL_PKEY_EC_ENCODING_EXPLICIT));
	test_refused("a compressed point",
				 encoded_p256(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
							  OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_COMPRESSED));
	test_refused("a hybrid point",
				 encoded_p256(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
							  OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_HYBRID));
	test_refused("secp256k1", EVP_EC_gen("secp256k1"));
	test_refused("brainpoolP256r1", EVP_EC_gen("brainpoolP256r1"));
	test_refused("P-384", EVP_EC_gen("P-384"));
	test_refused("Ed25519", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	test_refused("X448", EVP_PKEY_Q_keygen(NULL, NULL, "X448"));
}

static void
test_other_types(void)
{
	static const KmsKeyType all[] = {
		KMS_TYPE_NONE, KMS_TYPE_RSA, KMS_TYPE_EC_P256, KMS_TYPE_X25519,
		(KmsKeyType) 99
	};
	static const Type *const made[] = {&p256, &x25519};
	size_t		i;
	size_t		j;

	for (i = 0; i < LENGTH_OF(made); i++)
	{
		KmsKeyPair *key = generate(made[i]->type);
		Der			private_der = private_of(key);
		Der			public_der = public_of(key);

		for (j = 0; j < LENGTH_OF(all); j++)
		{
			KmsStatus	expected = all[j] == made[i]->type ? KMS_OK :
			KMS_BAD_KEY;

			check(try_open(kms_key_pair_open_private, all[j],
						   private_der.bytes, private_der.len) == expected &&
				  try_open(kms_key_pair_open_public, all[j],
						   public_der.bytes, public_der.len) == expected,
				  "%s opened as type %d", made[i]->name, all[j]);
			check(try_open(kms_key_pair_open_private, all[j],
						   public_der.bytes, public_der.len) == KMS_BAD_KEY &&
				  try_open(kms_key_pair_open_public, all[j],
						   private_der.bytes,
						   private_der.len) == KMS_BAD_KEY,
				  "%s: halves exchanged, type %d", made[i]->name, all[j]);
		}
		kms_key_pair_free(key);
	}
	check(try_open(kms_key_pair_open_private, KMS_TYPE_EC_P256,
				   BYTES(key_2048)) == KMS_BAD_KEY &&
		  try_open(kms_key_pair_open_private, KMS_TYPE_X25519,
				   BYTES(pkcs8_2048)) == KMS_BAD_KEY, "an RSA key");
}

/*
 * Cut off, extended, and each bit changed: only a change of the numbers may
 * leave a key.
 */
static void
test_changed(const Type *type, const Der *der, Open open, size_t fixed,
			 const char *kind)
{
	KmsKeyPair *key;
	Der			copy;
	bool		ok = true;
	size_t		i;

	for (i = 0; i < der->len; i++)
		ok = ok && open(opener, type->type, der->bytes, i,
						&key) == KMS_BAD_KEY && key == NULL;
	check(ok, "%s: a %s key cut off anywhere", type->name, kind);
	copy = *der;
	copy.bytes[copy.len++] = 0;
	check(try_open(open, type->type, copy.bytes, copy.len) == KMS_BAD_KEY,
		  "%s: a %s key with a byte behind it", type->name, kind);

	ok = true;
	for (i = 0; i < 8 * fixed; i++)
	{
		copy = *der;
		copy.bytes[i / 8] ^= (unsigned char) (1 << i % 8);
		ok = ok && open(opener, type->type, copy.bytes, copy.len,
						&key) == KMS_BAD_KEY && key == NULL;
	}
	check(ok, "%s: a %s key with a bit changed", type->name, kind);
}

static void
test_changes(const Type *type)
{
	KmsKeyPair *key = generate(type->type);
	Der			private_der = private_of(key);
	Der			public_der = public_of(key);
	Der			copy;
	bool		ok = true;
	size_t		i;

	test_changed(type, &private_der, kms_key_pair_open_private,
				 type->number_at, "private");

	/* of a point, each bit counts */
	test_changed(type, &public_der, kms_key_pair_open_public,
				 type == &p256 ? type->public_len : type->point_at, "public");
	for (i = 8 * (type->number_at + COORDINATE); i < 8 * private_der.len; i++)
	{
		copy = private_der;
		copy.bytes[i / 8] ^= (unsigned char) (1 << i % 8);
		key = (kms_key_pair_free(key), NULL);
		ok = ok && kms_key_pair_open_private(opener, type->type, copy.bytes,
											 copy.len, &key) == KMS_BAD_KEY;
	}
	check(ok, "%s: a private key with a bit behind its number changed",
		  type->name);
	kms_key_pair_free(key);
}

/* ---- numbers at the bounds --------------------------------------------- */

#define ORDER "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc6325"
#define GX "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
#define GY "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
#define MINUS_GY \
	"b01cbd1c01e58065711814b583f061e9d431cca994cea1313449bf97c840ae0a"

typedef struct Scalar
{
	const char *name;
	const char *number;
	const char *y;				/* of G times the number */
	KmsStatus	status;
} Scalar;

#define ZEROS "00000000000000000000000000000000000000000000000000000000000000"

static const Scalar scalars[] = {
	{"0", ZEROS "00", GY, KMS_BAD_KEY},
	{"1", ZEROS "01", GY, KMS_OK},
	{"the order less 1", ORDER "50", MINUS_GY, KMS_OK},
	{"the order", ORDER "51", GY, KMS_BAD_KEY},
	{"the order and 1", ORDER "52", GY, KMS_BAD_KEY},
	{"all ones", "ffffffffffffffffffffffffffffffff"
	"ffffffffffffffffffffffffffffffff", GY, KMS_BAD_KEY}
};

static void
test_scalars(void)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(scalars); i++)
	{
		KmsKeyPair *key = generate(KMS_TYPE_EC_P256);
		Der			der = private_of(key);
		unsigned char *number = der.bytes + p256.number_at;

		kms_key_pair_free(key);
		(void) from_hex(scalars[i].number, number, COORDINATE);
		(void) from_hex(GX, der.bytes + 74, COORDINATE);
		(void) from_hex(scalars[i].y, der.bytes + 106, COORDINATE);
		check(kms_key_pair_open_private(opener, KMS_TYPE_EC_P256, der.bytes,
										der.len,
										&key) == scalars[i].status,
			  "the private number %s", scalars[i].name);
		check(key == NULL || kms_ec_generate_check_pair(key) == KMS_OK,
			  "%s: a pair, if it opens", scalars[i].name);
		kms_key_pair_free(key);
	}
}

/* The halves of two keys open, because the wrap authenticates them. */
static void
test_no_pair(void)
{
	KmsKeyPair *key = generate(KMS_TYPE_EC_P256);
	KmsKeyPair *other = generate(KMS_TYPE_EC_P256);
	Der			der = private_of(key);
	Der			other_der = private_of(other);

	kms_key_pair_free(key);
	kms_key_pair_free(other);
	memcpy(der.bytes + 74, other_der.bytes + 74, 2 * COORDINATE);
	check(kms_key_pair_open_private(opener, KMS_TYPE_EC_P256, der.bytes,
									der.len, &key) == KMS_OK &&
		  kms_ec_generate_check_pair(key) == KMS_FAILED,
		  "two halves that are no pair are found out");
	kms_key_pair_free(key);
}

/* ---- agreement --------------------------------------------------------- */

typedef struct Agreement
{
	const char *name;
	const Type *type;
	const char *number;
	const char *own_point;
	const char *other_point;
	const char *secret;
} Agreement;

static const Agreement agreements[] = {
	{"RFC 5903, 8.1", &p256,
		"c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
		"dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180"
		"5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
		"d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
		"56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
	"d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"},
	{"RFC 5903, 8.1, the other side", &p256,
		"c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
		"d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63"
		"56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
		"dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180"
		"5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
	"d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"},
	{"RFC 7518, C", &p256,
		"5449836690d75caf29f0dd029ddb31b3ddb8aba9d2d515c5012465e817d4a9dc",
		"c1e349cb61ec70248ce801034c3834e1b88ebe1161cb25af38741f785fcfc4c4"
		"7bc96708ef80952b53f8d2555fe72b841ed04588628b1d378a594939500ec9c9",
		"808d060082c176eed3e776a4ac598cc8672c1779f974eecc9b03411ca5b9495d"
		"48b5bfc527dfce53d6ac7115237d031ccff87a0570b77350a9e503ee7305a69b",
	"9e56d91d817135d372834283bf84269cfb316ea3da806a48f6daa7798cfe90c4"},
	{"RFC 7748, 6.1", &x25519,
		"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
		"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
	"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
	{"RFC 7748, 6.1, the other side", &x25519,
		"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
		"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
		"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
	"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"}
};

static KmsKeyPair *
known_key(const Agreement *agreement)
{
	KmsKeyPair *key = generate(agreement->type->type);
	Der			der = private_of(key);

	kms_key_pair_free(key);
	(void) from_hex(agreement->number, der.bytes + agreement->type->number_at,
					COORDINATE);
	if (agreement->type == &p256)
		(void) from_hex(agreement->own_point, der.bytes + 74, 2 * COORDINATE);
	if (kms_key_pair_open_private(opener, agreement->type->type, der.bytes,
								  der.len, &key) != KMS_OK)
		give_up("a known key does not open");
	return key;
}

static void
test_agreement(const Agreement *agreement)
{
	KmsKeyPair *key = known_key(agreement);
	KmsPublicNumbers numbers = numbers_of(key);
	unsigned char own[2 * COORDINATE] = {0};
	unsigned char point[2 * COORDINATE];
	unsigned char secret[KMS_ECDH_SIZE];
	unsigned char expected[KMS_ECDH_SIZE];
	bool		ok = true;
	int			i;

	(void) from_hex(agreement->own_point, BYTES(own));
	(void) from_hex(agreement->other_point, BYTES(point));
	(void) from_hex(agreement->secret, BYTES(expected));
	check(memcmp(numbers.x, own, COORDINATE) == 0 &&
		  memcmp(numbers.y, own + COORDINATE, COORDINATE) == 0,
		  "%s: the public key", agreement->name);

	/* a bad point in between leaves nothing behind */
	for (i = 0; i < 3; i++)
	{
		unsigned char zero[2 * COORDINATE] = {0};

		memset(secret, 0xff, sizeof(secret));
		ok = ok && kms_ecdh_agree(key, point, point + COORDINATE,
								  secret) == KMS_OK &&
			memcmp(secret, expected, sizeof(secret)) == 0 &&
			ERR_peek_error() == 0;
		ok = ok && kms_ecdh_agree(key, zero, zero + COORDINATE,
								  secret) == KMS_BAD_FORMAT &&
			is_all(BYTES(secret), 0) && ERR_peek_error() == 0;
	}
	check(ok, "%s: the secret", agreement->name);
	kms_key_pair_free(key);
}

/* ---- bad points -------------------------------------------------------- */

typedef struct BadPoint
{
	const char *name;
	const char *x;
	const char *y;
} BadPoint;

#define P "ffffffff00000001000000000000000000000000ffffffffffffffffffffff"

/* The square root of b is the y of x = 0. */
static const BadPoint bad_points[] = {
	{"(0, 0)", ZEROS "00", ZEROS "00"},
	{"(p, y of 0)", P "ff",
	"66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4"},
	{"(x, p - 1)", GX, P "fe"},
	{"(x, x)", GX, GX},
	{"(p, p)", P "ff", P "ff"},
	{"all ones", "ffffffffffffffffffffffffffffffff"
		"ffffffffffffffffffffffffffffffff",
		"ffffffffffffffffffffffffffffffff"
	"ffffffffffffffffffffffffffffffff"},
	{"(1, y) of an invalid curve", ZEROS "01", ZEROS "02"}
};

/* Little-endian: 0, 1, two of order 8, p - 1, p and p + 1. */
static const char *const small_order[] = {
	ZEROS "00",
	"01" ZEROS,
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
};

static KmsStatus
agree(KmsKeyPair *key, const unsigned char *x, const unsigned char *y,
	  bool *wiped)
{
	unsigned char secret[KMS_ECDH_SIZE];
	KmsStatus	status;

	memset(secret, 0xff, sizeof(secret));
	status = kms_ecdh_agree(key, x, y, secret);
	*wiped = is_all(BYTES(secret), 0) && ERR_peek_error() == 0;
	return status;
}

static void
test_bad_points(void)
{
	KmsKeyPair *key = generate(KMS_TYPE_EC_P256);
	unsigned char x[COORDINATE];
	unsigned char y[COORDINATE];
	bool		wiped;
	size_t		i;

	/* the point with x = 0 is good, unless x is p */
	(void) from_hex(ZEROS "00", BYTES(x));
	(void) from_hex(bad_points[1].y, BYTES(y));
	check(agree(key, x, y, &wiped) == KMS_OK && !wiped, "P-256: (0, y)");
	for (i = 0; i < LENGTH_OF(bad_points); i++)
	{
		(void) from_hex(bad_points[i].x, BYTES(x));
		(void) from_hex(bad_points[i].y, BYTES(y));
		check(agree(key, x, y, &wiped) == KMS_BAD_FORMAT && wiped,
			  "P-256: %s", bad_points[i].name);
	}
	(void) from_hex(GX, BYTES(x));
	(void) from_hex(GY, BYTES(y));
	check(agree(key, x, y, &wiped) == KMS_OK && !wiped, "P-256: G");
	for (i = 0; i < 8 * COORDINATE; i++)
	{
		y[i / 8] ^= (unsigned char) (1 << i % 8);
		if (agree(key, x, y, &wiped) != KMS_BAD_FORMAT || !wiped)
			break;
		y[i / 8] ^= (unsigned char) (1 << i % 8);
	}
	check_number((long long) i, 8 * COORDINATE, "P-256: any bit of y changed");
	kms_key_pair_free(key);
}

static void
test_small_order(void)
{
	KmsKeyPair *key = generate(KMS_TYPE_X25519);
	unsigned char x[COORDINATE];
	bool		wiped;
	size_t		i;

	for (i = 0; i < LENGTH_OF(small_order); i++)
	{
		(void) from_hex(small_order[i], BYTES(x));
		check(agree(key, x, NULL, &wiped) == KMS_BAD_FORMAT && wiped,
			  "X25519: small order, %zu", i);
		x[COORDINATE - 1] |= 0x80;
		check(agree(key, x, NULL, &wiped) == KMS_BAD_FORMAT && wiped,
			  "X25519: small order, %zu, and the highest bit", i);
	}
	memset(x, 0, sizeof(x));
	x[0] = 9;
	check(agree(key, x, NULL, &wiped) == KMS_OK && !wiped, "X25519: 9");
	memset(x, 0xff, sizeof(x));
	check(agree(key, x, NULL, &wiped) == KMS_OK && !wiped,
		  "X25519: a point that is not reduced");
	kms_key_pair_free(key);
}

static void
test_no_agreement(void)
{
	static const unsigned char x[COORDINATE] = {9};
	KmsKeyPair *key;
	KmsKeyPair *public_key;
	Der			der;
	bool		wiped;

	if (kms_key_pair_open_private(opener, KMS_TYPE_RSA, BYTES(key_2048),
								  &key) != KMS_OK)
		give_up("no RSA key");
	check(agree(key, x, x, &wiped) == KMS_BAD_KEY && wiped,
		  "an RSA key agrees with nobody");
	check(kms_ec_generate_check_pair(key) == KMS_BAD_KEY, "nor is it checked");
	kms_key_pair_free(key);

	key = generate(KMS_TYPE_X25519);
	der = public_of(key);
	if (kms_key_pair_open_public(opener, KMS_TYPE_X25519, der.bytes, der.len,
								 &public_key) != KMS_OK)
		give_up("no public key");
	check(agree(public_key, x, x, &wiped) == KMS_BAD_KEY && wiped,
		  "nor does a public key");
	kms_key_pair_free(public_key);
	kms_key_pair_free(key);

	key = (KmsKeyPair *) &der;
	check(kms_ec_generate(KMS_TYPE_RSA, &key) == KMS_BAD_KEY && key == NULL,
		  "no RSA key is made here");
	check(kms_ec_generate(KMS_TYPE_NONE, &key) == KMS_BAD_KEY && key == NULL,
		  "nor one without a type");
}

/* ECDH keys do not do RSA. */
static void
test_no_oaep(const Type *type)
{
	KmsOaep		oaep = {KMS_SHA256, KMS_DIGEST_NONE, NULL, 0};
	KmsKeyPair *key = generate(type->type);
	unsigned char out[KMS_RSA_MAX_BLOCK];
	size_t		len = 99;

	check(kms_rsa_oaep_encrypt(key, &oaep, (const unsigned char *) "x", 1,
							   out, &len) == KMS_BAD_KEY && len == 0,
		  "%s does not encrypt a block", type->name);
	len = 99;
	check(kms_rsa_oaep_decrypt(key, &oaep, out, 0, out,
							   &len) == KMS_BAD_KEY && len == 0,
		  "%s does not decrypt a block", type->name);
	check_number((long long) kms_rsa_oaep_max_plaintext(key, KMS_SHA256), 0,
				 "there is no longest plaintext");
	kms_key_pair_free(key);
}

/* ---- the secure heap --------------------------------------------------- */

static void
test_secure_heap(const Type *type)
{
	KmsKeyPair *key = generate(type->type);
	Der			der = private_of(key);
	Der			public_der = public_of(key);
	KmsKeyPair *keys[KEYS_MAX] = {NULL};
	void	   *pieces[SECURE_HEAP / PIECE];
	int			rest = 0;
	KmsStatus	status = KMS_OK;
	size_t		used;
	int			count;
	int			i;

	kms_key_pair_free(key);
	used = CRYPTO_secure_used();
	for (count = 0; count < KEYS_MAX; count++)
	{
		status = kms_key_pair_open_private(opener, type->type, der.bytes,
										   der.len, &keys[count]);
		if (status != KMS_OK)
			break;
	}
	check(count >= 10 && count < KEYS_MAX && keys[count] == NULL &&
		  status == KMS_NO_MEMORY,
		  "%s: a full secure heap is told after %d keys", type->name, count);
	check(CRYPTO_secure_used() - used >= (size_t) (count * COORDINATE),
		  "%s: the numbers of the keys are in it", type->name);
	while ((pieces[rest] = OPENSSL_secure_malloc(PIECE)) != NULL)
		rest++;
	check(kms_ec_generate(type->type, &key) == KMS_NO_MEMORY && key == NULL,
		  "%s: there is no room to generate a key", type->name);
	check(kms_key_pair_open_public(opener, type->type, public_der.bytes,
								   public_der.len, &key) == KMS_OK,
		  "%s: public keys open still", type->name);
	kms_key_pair_free(key);
	check(kms_ec_generate_check_pair(keys[0]) == KMS_NO_MEMORY,
		  "%s: nor to check a pair", type->name);
	for (i = 0; i < count; i++)
		kms_key_pair_free(keys[i]);
	while (rest > 0)
		OPENSSL_secure_free(pieces[--rest]);
	check_number((long long) CRYPTO_secure_used(), (long long) used,
				 "all of it is freed");
	der.bytes[0]++;
	check(kms_key_pair_open_private(opener, type->type, der.bytes, der.len,
									&key) == KMS_BAD_KEY,
		  "%s: a bad key is no lack of memory", type->name);
}

int
main(void)
{
	static const Type *const types[] = {&p256, &x25519};
	size_t		i;

	opener = kms_key_pair_opener_new();
	if (opener == NULL)
		give_up("no opener");
	for (i = 0; i < LENGTH_OF(types); i++)
	{
		test_der(types[i]);
		test_numbers(types[i]);
		test_pem(types[i]);
		test_changes(types[i]);
		test_no_oaep(types[i]);
	}
	test_others();
	test_other_types();
	test_scalars();
	test_no_pair();
	for (i = 0; i < LENGTH_OF(agreements); i++)
		test_agreement(&agreements[i]);
	test_bad_points();
	test_small_order();
	test_no_agreement();

	/* the random number generator takes its room first */
	check(CRYPTO_secure_malloc_init(SECURE_HEAP, PIECE) != 0, "a secure heap");
	for (i = 0; i < LENGTH_OF(types); i++)
		test_secure_heap(types[i]);
	kms_key_pair_opener_free(opener);
	return tap_done();
}
