/*
 * HMAC and HKDF with SHA-256: the vectors of RFC 4231 and RFC 5869 that have
 * keys, salts and outputs on either side of a block.  The Concat KDF: the
 * vector of RFC 7518, and others made with Python's cryptography.
 */
#include "crypto/concat_kdf.h"
#include "crypto/kdf.h"
#include "tap.h"

#define LONGEST (255 * KMS_HMAC_SIZE)

static const char *
hex(const unsigned char *bytes, size_t len)
{
	static char out[2 * 128 + 1];
	size_t		i;

	for (i = 0; i < len; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
	return out;
}

static void
count_up(unsigned char *out, size_t len, unsigned char first)
{
	size_t		i;

	for (i = 0; i < len; i++)
		out[i] = (unsigned char) (first + i);
}

static void
test_hmac(const char *name, unsigned char key_byte, size_t key_len,
		  const char *data, const char *expected)
{
	unsigned char key[131];
	unsigned char mac[KMS_HMAC_SIZE];
	size_t		len = strlen(data);

	memset(key, key_byte, sizeof(key));
	check(kms_kdf_hmac_sha256(key, key_len, NULL, 0, data, len, mac) &&
		  strcmp(hex(mac, sizeof(mac)), expected) == 0, "HMAC: %s", name);
	check(kms_kdf_hmac_sha256(key, key_len, data, 5, data + 5, len - 5, mac) &&
		  strcmp(hex(mac, sizeof(mac)), expected) == 0,
		  "HMAC: %s, in two parts", name);
}

static void
test_hkdf(const char *name, const unsigned char *key, size_t key_len,
		  const unsigned char *salt, size_t salt_len,
		  const unsigned char *info, size_t info_len,
		  size_t len, const char *expected)
{
	unsigned char out[128];

	check(kms_kdf_hkdf_sha256(key, key_len, salt, salt_len, info, info_len,
							  out, len) &&
		  strcmp(hex(out, len), expected) == 0, "HKDF: %s", name);
}

static void
test_bounds(const unsigned char *key, size_t key_len)
{
	static unsigned char out[LONGEST + 1];
	static unsigned char half[KMS_HMAC_SIZE];
	size_t		i;

	check(kms_kdf_hkdf_sha256(key, key_len, NULL, 0, NULL, 0, out, LONGEST),
		  "HKDF gives 255 blocks");
	check(kms_kdf_hkdf_sha256(key, key_len, NULL, 0, NULL, 0, half, sizeof(half)) &&
		  memcmp(out, half, sizeof(half)) == 0,
		  "what is asked for does not change what comes first");

	memset(out, 0x5a, sizeof(out));
	check(!kms_kdf_hkdf_sha256(key, key_len, NULL, 0, NULL, 0, out, sizeof(out)),
		  "HKDF gives not a byte more than 255 blocks");
	for (i = 0; i < sizeof(out) && out[i] == 0; i++)
		;
	check(i == sizeof(out), "what was to hold it is wiped");
}

static void
test_concat(const char *name, const unsigned char *secret, size_t secret_len,
			const char *algorithm, const char *apu, const char *apv,
			size_t len, const char *expected)
{
	KmsConcatInfo info = {
		algorithm, (const unsigned char *) apu, strlen(apu),
		(const unsigned char *) apv, strlen(apv)
	};
	unsigned char out[129];

	memset(out, 0x77, sizeof(out));
	check(kms_concat_kdf(secret, secret_len, &info, out, len) &&
		  strcmp(hex(out, len), expected) == 0 && out[len] == 0x77,
		  "Concat KDF: %s", name);
}

static void
test_concat_bounds(const unsigned char *secret)
{
	unsigned char longest[300] = {0};
	KmsConcatInfo info = {"ECDH-ES+A256KW", longest, 64, longest, 64};
	unsigned char out[64];

	check(kms_concat_kdf(secret, 64, &info, out, sizeof(out)),
		  "Concat KDF: the longest input");
	info.apv_len = 300;
	memset(out, 0xff, sizeof(out));
	check(!kms_concat_kdf(secret, 32, &info, out, sizeof(out)) &&
		  is_all(out, sizeof(out), 0), "Concat KDF: an input that is too long");
	info.apv_len = 64;
	memset(out, 0xff, sizeof(out));
	check(!kms_concat_kdf(longest, 300, &info, out, sizeof(out)) &&
		  is_all(out, sizeof(out), 0), "Concat KDF: a secret that is too long");
}

int
main(void)
{
	static const unsigned char agreed[] = {
		0x9e, 0x56, 0xd9, 0x1d, 0x81, 0x71, 0x35, 0xd3,
		0x72, 0x83, 0x42, 0x83, 0xbf, 0x84, 0x26, 0x9c,
		0xfb, 0x31, 0x6e, 0xa3, 0xda, 0x80, 0x6a, 0x48,
		0xf6, 0xda, 0xa7, 0x79, 0x8c, 0xfe, 0x90, 0xc4
	};
	unsigned char same[22];
	unsigned char key[80];
	unsigned char salt[80];
	unsigned char info[80];

	test_hmac("RFC 4231, 1", 0x0b, 20, "Hi There",
			  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	test_hmac("RFC 4231, 6", 0xaa, 131,
			  "Test Using Larger Than Block-Size Key - Hash Key First",
			  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	test_hmac("RFC 4231, 7", 0xaa, 131,
			  "This is a test using a larger than block-size key and a larger "
			  "than block-size data. The key needs to be hashed before being "
			  "used by the HMAC algorithm.",
			  "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");

	memset(same, 0x0b, sizeof(same));
	count_up(salt, sizeof(salt), 0);
	count_up(info, sizeof(info), 0xf0);
	test_hkdf("RFC 5869, 1", same, sizeof(same), salt, 13, info, 10, 42,
			  "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
			  "34007208d5b887185865");
	count_up(key, sizeof(key), 0);
	count_up(salt, sizeof(salt), 0x60);
	count_up(info, sizeof(info), 0xb0);
	test_hkdf("RFC 5869, 2", key, sizeof(key), salt, sizeof(salt),
			  info, sizeof(info), 82,
			  "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
			  "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
			  "cc30c58179ec3e87c14c01d5c1f3434f1d87");
	test_hkdf("RFC 5869, 3", same, sizeof(same), NULL, 0, NULL, 0, 42,
			  "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
			  "9d201395faa4b61a96c8");
	test_bounds(same, sizeof(same));

	test_concat("RFC 7518, C", agreed, sizeof(agreed), "A128GCM", "Alice",
				"Bob", 16, "56aa8deaf8236d205c2228cd71a7101a");
	count_up(key, sizeof(key), 0);
	test_concat("one round", key, 32, "A256GCM", "", "", 32,
				"9c69e3c7102763b0078e554d3301fa1ab2c55a821fd6b2132b41aa495f0b302e");
	test_concat("a round and a half", key, 32, "A192CBC-HS384", "", "Bob", 48,
				"ffce6a68784923b53f69e235b03ad634e8ada0ba178ca75062433bd2b4ede35b"
				"31b31b67723b2d9ba57d29748a7919ad");
	test_concat("two rounds", key, 32, "A256CBC-HS512", "Alice", "", 64,
				"07cca06a3e51a3486a218498e8a767c9657b19e6d4e9c55654a7bfac70617427"
				"b3e23324a34cd455f7809ada48ef32c14ebf5bf613e84976c1201a401a637ff3");
	test_concat_bounds(key);
	return tap_done();
}
