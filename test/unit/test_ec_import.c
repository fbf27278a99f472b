/*
 * PEM of keys for ECDH that comes from elsewhere: each encoding that is taken
 * becomes the stored one, and each flaw has its refusal.
 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/x509.h>

#include "crypto/ec_generate.h"
#include "crypto/secure_heap.h"
#include "hex.h"
#include "keys.h"
#include "pem.h"

#define SECURE_HEAP 16384		/* bytes */
#define PIECE		32
#define DER_MAX		512
#define NUMBER		KMS_COORDINATE_SIZE
#define POINT		65			/* bytes, uncompressed */

#define P256_OID	"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
#define P384_OID	"\x06\x05\x2b\x81\x04\x00\x22"
#define EC_OID		"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
#define X25519_OID	"\x06\x03\x2b\x65\x6e"

typedef struct Der
{
	unsigned char bytes[DER_MAX];
	size_t		len;
} Der;

/* A key, and what is stored of it: PKCS#8, of which these are parts. */
static Der	stored_p256;
static Der	stored_x25519;
static const unsigned char *number;
static const unsigned char *point;

/* ---- Tools ------------------------------------------------------------ */

/* A literal without its NUL. */
#define LITERAL(text) (const unsigned char *) (text), sizeof(text) - 1

static Der
der_of(const unsigned char *bytes, size_t len)
{
	Der			der = {{0}, len};

	require(len <= DER_MAX, "too long");
	memcpy(der.bytes, bytes, len);
	return der;
}

/* An element with the concatenation of the parts. */
static Der
element(int first, int parts, const Der *part)
{
	Der			der = {{(unsigned char) first, 0x81}, 3};
	int			i;

	for (i = 0; i < parts; i++)
	{
		require(der.len + part[i].len < 3 + 256, "too long");
		memcpy(der.bytes + der.len, part[i].bytes, part[i].len);
		der.len += part[i].len;
	}
	der.bytes[2] = (unsigned char) (der.len - 3);
	return der;
}

static Der
string(int first, const unsigned char *bytes, size_t len)
{
	Der			content = der_of(bytes, len);

	return element(first, 1, &content);
}

/* [1] with a BIT STRING. */
static Der
public_key(unsigned char unused_bits, const unsigned char *bytes, size_t len)
{
	Der			bits[2];
	Der			string;

	bits[0] = der_of(&unused_bits, 1);
	bits[1] = der_of(bytes, len);
	string = element(0x03, 2, bits);
	return element(0xa1, 1, &string);
}

/* ECPrivateKey.  "curve" and "bits" may be empty. */
static Der
sec1(unsigned char version, const unsigned char *bytes, size_t len, Der curve,
	 Der bits)
{
	Der			parts[4];

	parts[0] = string(0x02, &version, 1);
	parts[1] = string(0x04, bytes, len);
	parts[2] = curve.len > 0 ? element(0xa0, 1, &curve) : curve;
	parts[3] = bits;
	return element(0x30, 4, parts);
}

/* PrivateKeyInfo.  "parameters" and "rest" may be empty. */
static Der
pkcs8(unsigned char version, Der oid, Der parameters, Der key, Der rest)
{
	Der			identifier[2];
	Der			parts[4];

	identifier[0] = oid;
	identifier[1] = parameters;
	parts[0] = string(0x02, &version, 1);
	parts[1] = element(0x30, 2, identifier);
	parts[2] = string(0x04, key.bytes, key.len);
	parts[3] = rest;
	return element(0x30, 4, parts);
}

static void
is_taken(Der der, const Der *stored, const char *name)
{
	char	   *pem = new_pem("PRIVATE KEY", der.bytes, der.len);

	taken(pem, stored->bytes, stored->len, name);
	free(pem);
}

static void
is_refused(Der der, KmsImportRefusal refusal, const char *name)
{
	refused_pem(new_pem("PRIVATE KEY", der.bytes, der.len), refusal, name);
}

static const Der none = {{0}, 0};

/* ---- Taken ---------------------------------------------------- */

/* As OpenSSL writes it, under each label. */
static void
test_labels(void)
{
	static const char *const labels[] = {
		"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"
	};
	Der			keys[2];
	char		name[64];
	char	   *pem;
	size_t		i;

	keys[0] = sec1(1, number, NUMBER, der_of(LITERAL(P256_OID)),
				   public_key(0, point, POINT));
	keys[1] = stored_p256;
	for (i = 0; i < LENGTH_OF(labels); i++)
	{
		snprintf(name, sizeof(name), "SEC1 under %s", labels[i]);
		pem = new_pem(labels[i], keys[0].bytes, keys[0].len);
		taken(pem, stored_p256.bytes, stored_p256.len, name);
		free(pem);
		snprintf(name, sizeof(name), "PKCS#8 of P-256 under %s", labels[i]);
		pem = new_pem(labels[i], keys[1].bytes, keys[1].len);
		taken(pem, stored_p256.bytes, stored_p256.len, name);
		free(pem);
		snprintf(name, sizeof(name), "X25519 under %s", labels[i]);
		pem = new_pem(labels[i], stored_x25519.bytes, stored_x25519.len);
		taken(pem, stored_x25519.bytes, stored_x25519.len, name);
		free(pem);
	}
}

static void
test_openssl(void)
{
	static const char *const forms[] = {"uncompressed", "compressed", "hybrid"};
	EVP_PKEY   *pkey;
	PKCS8_PRIV_KEY_INFO *info;
	BIO		   *bio;
	char	   *pem;
	size_t		i;

	for (i = 0; i < LENGTH_OF(forms); i++)
	{
		const unsigned char *der = stored_p256.bytes;

		pkey = d2i_AutoPrivateKey(NULL, &der, (long) stored_p256.len);
		require(EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
											   forms[i]) == 1, "no form");
		bio = BIO_new(BIO_s_mem());
		require(PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0,
													 NULL, NULL) == 1,
				"no SEC1");
		pem = text_of(bio);
		taken(pem, stored_p256.bytes, stored_p256.len, forms[i]);
		free(pem);
		info = EVP_PKEY2PKCS8(pkey);
		bio = BIO_new(BIO_s_mem());
		require(PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info) == 1, "no PKCS#8");
		pem = text_of(bio);
		taken(pem, stored_p256.bytes, stored_p256.len, forms[i]);
		free(pem);
		PKCS8_PRIV_KEY_INFO_free(info);
		EVP_PKEY_free(pkey);
	}

	/* as "openssl ecparam -genkey" writes it */
	bio = BIO_new(BIO_s_mem());
	require(PEM_write_bio(bio, PEM_STRING_ECPARAMETERS, "",
						  LITERAL(P256_OID)) > 0 &&
			PEM_write_bio(bio, PEM_STRING_ECPRIVATEKEY, "", stored_p256.bytes,
						  (long) stored_p256.len) > 0, "no PEM");
	pem = text_of(bio);
	taken(pem, stored_p256.bytes, stored_p256.len, "parameters before it");
	free(pem);
}

static void
test_taken(void)
{
	Der			ec = der_of(LITERAL(EC_OID));
	Der			p256 = der_of(LITERAL(P256_OID));
	Der			bits = public_key(0, point, POINT);
	unsigned char padded[NUMBER + 8] = {0};

	memcpy(padded + 8, number, NUMBER);
	is_taken(sec1(1, number, NUMBER, p256, none), &stored_p256,
			 "SEC1 without a public key");
	is_taken(pkcs8(0, ec, p256, sec1(1, number, NUMBER, none, none), none),
			 &stored_p256, "PKCS#8 without a public key");
	is_taken(pkcs8(0, ec, p256, sec1(1, number, NUMBER, p256, bits), none),
			 &stored_p256, "PKCS#8 that names the curve twice");
	is_taken(pkcs8(0, ec, none, sec1(1, number, NUMBER, p256, bits), none),
			 &stored_p256, "PKCS#8 that names the curve in the key alone");
	is_taken(sec1(1, padded, sizeof(padded), p256, bits), &stored_p256,
			 "a number with leading zeros");
	is_taken(pkcs8(0, ec, p256, sec1(1, number, NUMBER, none, bits),
				   der_of(LITERAL("\xa0\x0b\x30\x09\x06\x03\x2a\x03\x04\x31\x02\x05\x00"))),
			 &stored_p256, "attributes");
}

/* The stored number of a key with a short one is padded. */
static void
test_short_number(void)
{
	static const unsigned char one = 1;
	Der			der = sec1(1, &one, 1, der_of(LITERAL(P256_OID)), none);
	char	   *pem = new_pem("EC PRIVATE KEY", der.bytes, der.len);
	KmsKeyPair *key = take(pem, "the number 1");
	Der			out;
	unsigned char base[2 * NUMBER];

	(void) from_hex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
					"4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
					BYTES(base));
	check(kms_key_pair_private_der(key, BYTES(out.bytes), &out.len) == KMS_OK &&
		  is_all(out.bytes + 36, NUMBER - 1, 0) &&
		  out.bytes[36 + NUMBER - 1] == 1 &&
		  memcmp(out.bytes + out.len - sizeof(base), BYTES(base)) == 0,
		  "its number is padded, and its point is the base point");
	kms_key_pair_free(key);
	free(pem);
}

/* ---- Refused -------------------------------------------------- */

static void
test_curves(void)
{
	static const struct
	{
		const char *curve;
		KmsImportRefusal refusal;
	}			cases[] = {
		{"P-384", KMS_REFUSED_P384},
		{"P-521", KMS_REFUSED_P521},
		{"secp256k1", KMS_REFUSED_SECP256K1},
		{"brainpoolP256r1", KMS_REFUSED_OTHER_CURVE},
	};
	static const char *const encodings[] = {"named_curve", "explicit"};
	size_t		i;
	int			is_explicit;

	for (i = 0; i < LENGTH_OF(cases) + 1; i++)
	{
		for (is_explicit = 0; is_explicit < 2; is_explicit++)
		{
			bool		p256 = i == LENGTH_OF(cases);
			EVP_PKEY   *pkey = EVP_EC_gen(p256 ? "P-256" : cases[i].curve);
			KmsImportRefusal refusal = is_explicit ? KMS_REFUSED_EXPLICIT :
			p256 ? KMS_REFUSED_NONE : cases[i].refusal;
			PKCS8_PRIV_KEY_INFO *info;
			BIO		   *bio;
			char		name[64];

			snprintf(name, sizeof(name), "%s, %s",
					 p256 ? "P-256" : cases[i].curve, encodings[is_explicit]);
			require(pkey != NULL &&
					EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_ENCODING,
												   encodings[is_explicit]) == 1,
					name);
			info = EVP_PKEY2PKCS8(pkey);
			if (refusal != KMS_REFUSED_NONE)
			{
				bio = BIO_new(BIO_s_mem());
				require(PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, info) == 1, name);
				refused_pem(text_of(bio), refusal, name);
				bio = BIO_new(BIO_s_mem());
				require(PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL,
															 NULL, 0, NULL,
															 NULL) == 1, name);
				refused_pem(text_of(bio), refusal, name);
			}
			PKCS8_PRIV_KEY_INFO_free(info);
			EVP_PKEY_free(pkey);
		}
	}
}

static void
test_refused(void)
{
	Der			ec = der_of(LITERAL(EC_OID));
	Der			p256 = der_of(LITERAL(P256_OID));
	Der			p384 = der_of(LITERAL(P384_OID));
	Der			bits = public_key(0, point, POINT);
	Der			key = sec1(1, number, NUMBER, none, bits);
	unsigned char longer[NUMBER + 1] = {1};
	unsigned char order[NUMBER];
	Der			byte = der_of(LITERAL("\x05\x00"));

	is_refused(pkcs8(1, ec, p256, key, none), KMS_REFUSED_VERSION_2_EC,
			   "version 2");
	is_refused(pkcs8(1, ec, p384, key, none), KMS_REFUSED_P384,
			   "version 2 of P-384");
	is_refused(pkcs8(0, ec, p256, key, public_key(0, point, POINT)),
			   KMS_REFUSED_DAMAGED, "version 1 with a public key");
	is_refused(pkcs8(0, ec, p256, key, byte), KMS_REFUSED_DAMAGED,
			   "something after the key");
	is_refused(pkcs8(0, ec, byte, key, none), KMS_REFUSED_DAMAGED,
			   "NULL instead of a curve");
	is_refused(pkcs8(0, ec, none, key, none), KMS_REFUSED_DAMAGED,
			   "no curve");
	is_refused(sec1(1, number, NUMBER, none, bits), KMS_REFUSED_DAMAGED,
			   "SEC1 without a curve");
	is_refused(pkcs8(0, ec, p256, sec1(1, number, NUMBER, p384, bits), none),
			   KMS_REFUSED_P384, "two curves");
	is_refused(pkcs8(0, ec, p256, stored_p256, none), KMS_REFUSED_DAMAGED,
			   "PKCS#8 in PKCS#8");
	is_refused(sec1(0, number, NUMBER, p256, bits), KMS_REFUSED_DAMAGED,
			   "SEC1 of version 0");
	is_refused(sec1(1, number, NUMBER, p256, public_key(1, point, POINT)),
			   KMS_REFUSED_DAMAGED, "a public key with an unused bit");
	is_refused(sec1(1, number, NUMBER, p256, public_key(0, point, 0)),
			   KMS_REFUSED_DAMAGED, "an empty public key");
	is_refused(sec1(1, number, NUMBER, p256, byte), KMS_REFUSED_DAMAGED,
			   "something after SEC1");

	(void) from_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
					BYTES(order));
	is_refused(sec1(1, order, NUMBER, p256, none), KMS_REFUSED_NUMBER,
			   "the order");
	memset(order, 0, sizeof(order));
	is_refused(sec1(1, order, NUMBER, p256, none), KMS_REFUSED_NUMBER, "0");
	is_refused(sec1(1, order, 0, p256, none), KMS_REFUSED_NUMBER, "no number");
	is_refused(sec1(1, longer, sizeof(longer), p256, none), KMS_REFUSED_NUMBER,
			   "33 bytes");
}

/* Each bit of the public key counts, in every form. */
static void
test_public_keys(void)
{
	Der			p256 = der_of(LITERAL(P256_OID));
	unsigned char changed[POINT];
	Der			der;
	char	   *pem;
	KmsKeyPair *key;
	KmsImportRefusal refusal;
	int			refusals = 0;
	int			form;
	size_t		i;

	for (form = 2; form <= 6; form += 2)
	{
		size_t		len = form == 2 ? 1 + NUMBER : POINT;

		for (i = 0; i < 8 * len; i++)
		{
			memcpy(changed, point, POINT);
			changed[0] = (unsigned char) (form == 4 ? 4 :
										  form | (point[POINT - 1] & 1));
			changed[i / 8] ^= (unsigned char) (1 << i % 8);
			der = sec1(1, number, NUMBER, p256, public_key(0, changed, len));
			pem = new_pem("EC PRIVATE KEY", der.bytes, der.len);
			if (kms_pem_import(opener, pem, strlen(pem), &key,
							   &refusal) == KMS_BAD_KEY &&
				refusal == KMS_REFUSED_PUBLIC_KEY)
				refusals++;
			kms_key_pair_free(key);
			free(pem);
		}
	}

	/* the other form of the same point, twice: 4 and 6 differ by a bit */
	check_number(refusals, 8 * (33 + 65 + 65) - ((point[POINT - 1] & 1) ? 0 : 2),
				 "public keys with a bit changed are refused");
	is_refused(sec1(1, number, NUMBER, p256, public_key(0, point, POINT - 1)),
			   KMS_REFUSED_PUBLIC_KEY, "a public key without its last byte");
}

static void
test_x25519(void)
{
	Der			x25519 = der_of(LITERAL(X25519_OID));
	Der			key = der_of(stored_x25519.bytes + 14, 2 + NUMBER);

	is_taken(pkcs8(0, x25519, none, key, none), &stored_x25519,
			 "X25519 with long lengths");
	is_refused(pkcs8(1, x25519, none, key, none), KMS_REFUSED_VERSION_2_X25519,
			   "X25519, version 2");
	is_refused(pkcs8(1, x25519, none, key, public_key(0, point, NUMBER)),
			   KMS_REFUSED_VERSION_2_X25519,
			   "X25519, version 2 with a public key");
	is_refused(pkcs8(0, x25519, none, der_of(key.bytes + 2, NUMBER), none),
			   KMS_REFUSED_DAMAGED, "X25519 without its inner string");
	is_refused(pkcs8(0, x25519, none, der_of(key.bytes, 1 + NUMBER), none),
			   KMS_REFUSED_DAMAGED, "X25519 cut off");
	is_refused(pkcs8(0, x25519, none, string(0x04, number, NUMBER - 1), none),
			   KMS_REFUSED_DAMAGED, "X25519 of 31 bytes");
	is_refused(pkcs8(0, x25519, der_of(LITERAL("\x05\x00")), key, none),
			   KMS_REFUSED_DAMAGED, "X25519 with parameters");
}

/* ---- The secure heap -------------------------------------------------- */

static void
test_secure_heap(const Der *stored, const char *name)
{
	static void *pieces[SECURE_HEAP / PIECE + 1];
	char	   *pem = new_pem("PRIVATE KEY", stored->bytes, stored->len);
	KmsKeyPair *key;
	KmsImportRefusal refusal;
	KmsStatus	status = KMS_NO_MEMORY;
	size_t		used = CRYPTO_secure_used();
	int			count = 0;
	int			failures = 0;

	check(kms_pem_import(opener, pem, strlen(pem), &key, &refusal) == KMS_OK &&
		  CRYPTO_secure_used() >= used + NUMBER,
		  "%s: the private number is in the secure heap", name);
	kms_key_pair_free(key);
	check(CRYPTO_secure_used() == used, "%s: and leaves it", name);
	while ((pieces[count] = OPENSSL_secure_malloc(PIECE)) != NULL)
		count++;
	while (count > 0)
	{
		status = kms_pem_import(opener, pem, strlen(pem), &key, &refusal);
		if (status != KMS_NO_MEMORY || key != NULL ||
			refusal != KMS_REFUSED_NONE)
			break;
		failures++;
		OPENSSL_secure_free(pieces[--count]);
	}
	check_number(status, KMS_OK, name);
	check(failures > 3, "%s: before, %d times there is no memory", name,
		  failures);
	kms_key_pair_free(key);
	while (count > 0)
		OPENSSL_secure_free(pieces[--count]);
	free(pem);
}

int
main(void)
{
	KmsKeyPair *key;

	opener = kms_key_pair_opener_new();
	require(opener != NULL && kms_ec_generate(KMS_TYPE_EC_P256, &key) == KMS_OK &&
			kms_key_pair_private_der(key, BYTES(stored_p256.bytes),
									 &stored_p256.len) == KMS_OK, "no key");
	kms_key_pair_free(key);
	require(kms_ec_generate(KMS_TYPE_X25519, &key) == KMS_OK &&
			kms_key_pair_private_der(key, BYTES(stored_x25519.bytes),
									 &stored_x25519.len) == KMS_OK, "no key");
	kms_key_pair_free(key);
	number = stored_p256.bytes + 36;
	point = stored_p256.bytes + stored_p256.len - POINT;

	test_labels();
	test_openssl();
	test_taken();
	test_short_number();
	test_curves();
	test_refused();
	test_public_keys();
	test_x25519();
	require(kms_secure_heap_start(SECURE_HEAP) != 0, "no secure heap");
	test_secure_heap(&stored_p256, "P-256");
	test_secure_heap(&stored_x25519, "X25519");

	kms_key_pair_opener_free(opener);
	return tap_done();
}
