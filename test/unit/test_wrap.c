#include <stdlib.h>

#include "crypto/kdf.h"
#include "crypto/encoder.h"
#include "crypto/seal.h"
#include "crypto/sha256.h"
#include "crypto/wrap.h"
#include "crypto/wrap_fixed.h"
#include "tap.h"

#define CONTENT_MAX 5000		/* bytes */
#define KEY_ID "key_0000000000000_000000000000000000000000"

static KmsMasterKey master;
static KmsWrapContext context;

/* ---- vectors.txt ------------------------------------------------------ */

typedef struct Bytes
{
	unsigned char data[512];
	size_t		len;
} Bytes;

/*
 * The hexadecimal lines below the line that starts with "title", in
 * vectors.txt beside this file.
 */
static Bytes
read_vector(const char *title)
{
	char		path[512];
	char		line[256];
	Bytes		bytes = {.len = 0};
	bool		found = false;
	FILE	   *file;

	snprintf(path, sizeof(path), "%.*svectors.txt",
			 (int) (strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__);
	file = fopen(path, "r");
	if (file == NULL)
	{
		printf("Bail out! no %s\n", path);
		exit(1);
	}
	while (fgets(line, sizeof(line), file) != NULL)
	{
		char	   *p = line;
		unsigned int byte;

		if (!found)
		{
			found = strncmp(line, title, strlen(title)) == 0;
			continue;
		}
		if (strncmp(line, "    ", 4) != 0)
		{
			if (bytes.len > 0)
				break;
			continue;
		}
		for (p += 4; sscanf(p, "%2x", &byte) == 1; p += 2)
			bytes.data[bytes.len++] = (unsigned char) byte;
	}
	fclose(file);
	return bytes;
}

static bool
same(const Bytes *bytes, const void *data, size_t len)
{
	return bytes->len == len && len > 0 && memcmp(bytes->data, data, len) == 0;
}

static void
set_up(void)
{
	Bytes		key = read_vector("master key");
	Bytes		id = read_vector("fingerprint");
	Bytes		hash = read_vector("WRAP");

	memcpy(master.key, key.data, sizeof(master.key));
	memcpy(master.id, id.data, sizeof(master.id));
	context.purpose = KMS_PURPOSE_TEST;
	context.key_id = KEY_ID;
	context.device_id = "device \303\251";
	context.algorithm = "RSA-2048";
	context.created_at = -1;
	memcpy(context.public_hash, hash.data, KMS_SHA256_SIZE);
	check(key.len == sizeof(master.key) && id.len == sizeof(master.id) &&
		  hash.len == KMS_SHA256_SIZE, "vectors.txt is read");
}

static void
fill_row(KmsEncoder *row, unsigned char *data, size_t size)
{
	kms_encoder_init(row, data, size);
	kms_encoder_text(row, "row");
	kms_encoder_text(row, NULL);
	kms_encoder_text(row, "");
	kms_encoder_int64(row, INT64_C(1099511627776));
}

static void
test_vectors(void)
{
	Bytes		content = read_vector("content");
	Bytes		salt = read_vector("salt");
	Bytes		nonce = read_vector("nonce");
	Bytes		wrap = read_vector("wrap");
	Bytes		encoded = read_vector("row");
	Bytes		seal = read_vector("seal");
	Bytes		okm = read_vector("HKDF output");
	Bytes		info = read_vector("HKDF info\n");
	unsigned char out[512];
	size_t		len;
	KmsEncoder	row;

	check(kms_sha256("public", 6, out) &&
		  memcmp(out, context.public_hash, KMS_SHA256_SIZE) == 0,
		  "vector: public hash");
	check(kms_kdf_hkdf_sha256(master.key, sizeof(master.key),
							  salt.data, salt.len, info.data, info.len,
							  out, 64) && same(&okm, out, 64), "vector: HKDF");
	check(kms_wrap_fixed(&master, &context, salt.data, nonce.data,
						 content.data, content.len, out, &len) == KMS_OK &&
		  same(&wrap, out, len), "vector: wrap");
	check(kms_wrap_open(&master, &context, wrap.data, wrap.len,
						out, &len) == KMS_OK && same(&content, out, len),
		  "vector: unwrap");

	fill_row(&row, out, sizeof(out));
	check(same(&encoded, row.data, row.len), "vector: encoded row");
	check(kms_seal(&master, &row, out + 256) == KMS_OK &&
		  same(&seal, out + 256, KMS_SEAL_SIZE), "vector: seal");
	check(kms_seal_verify(&master, &row, seal.data, seal.len) == KMS_OK,
		  "vector: seal verified");
}

/* ---- wrap ------------------------------------------------------------- */

static void
test_sizes(void)
{
	static const size_t sizes[] = {1, 2, 15, 16, 17, 1191, 2600, CONTENT_MAX};
	static unsigned char in[CONTENT_MAX];
	size_t		i;

	memset(in, 0x5a, sizeof(in));
	for (i = 0; i < LENGTH_OF(sizes); i++)
	{
		size_t		size = sizes[i];
		unsigned char *wrap = malloc(size + KMS_WRAP_OVERHEAD);
		unsigned char *out = malloc(size);
		size_t		wrap_len;
		size_t		out_len;

		check(kms_wrap(&master, &context, in, size, wrap,
					   &wrap_len) == KMS_OK &&
			  wrap_len == size + KMS_WRAP_OVERHEAD &&
			  kms_wrap_open(&master, &context, wrap, wrap_len, out,
							&out_len) == KMS_OK &&
			  out_len == size && memcmp(in, out, size) == 0,
			  "%zu bytes are wrapped and unwrapped", size);
		free(wrap);
		free(out);
	}
}

static void
test_fresh(void)
{
	unsigned char one[KMS_WRAP_OVERHEAD + 4];
	unsigned char two[KMS_WRAP_OVERHEAD + 4];
	size_t		len;
	bool		ok;

	ok = kms_wrap(&master, &context, (const unsigned char *) "abcd", 4,
				  one, &len) == KMS_OK &&
		kms_wrap(&master, &context, (const unsigned char *) "abcd", 4,
				 two, &len) == KMS_OK;
	check(ok && memcmp(one, two, 9) == 0 &&
		  memcmp(one + 9, two + 9, 32) != 0 &&
		  memcmp(one + 41, two + 41, 12) != 0 &&
		  memcmp(one + 53, two + 53, 32) != 0 &&
		  memcmp(one + 85, two + 85, 4) != 0,
		  "two wraps of the same share nothing but the header");
}

static void
test_refused_to_wrap(void)
{
	static const char digits[] = "0123456789";
	unsigned char out[KMS_WRAP_OVERHEAD + 1];
	char		long_text[2000];
	KmsWrapContext other = context;
	size_t		len = 99;

	memset(out, 0xff, sizeof(out));
	check(kms_wrap(&master, &context, NULL, 0, out, &len) == KMS_BAD_FORMAT &&
		  len == 0 && is_all(out, KMS_WRAP_OVERHEAD, 0), "nothing to wrap");

	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	other.device_id = long_text;
	memset(out, 0xff, sizeof(out));
	len = 99;
	check(kms_wrap(&master, &other, (const unsigned char *) digits, 1,
				   out, &len) == KMS_BAD_FORMAT && len == 0 &&
		  is_all(out, sizeof(out), 0), "a device id longer than any");
	other = context;
	other.key_id = long_text;
	memset(out, 0xff, sizeof(out));
	len = 99;
	check(kms_wrap(&master, &other, (const unsigned char *) digits, 1,
				   out, &len) == KMS_BAD_FORMAT && len == 0 &&
		  is_all(out, sizeof(out), 0), "a key id longer than any");

	check(kms_wrap(&master, &context, (const unsigned char *) digits, 1,
				   out, &len) == KMS_OK &&
		  kms_wrap_open(&master, &other, out, len,
						(unsigned char *) long_text, &len) == KMS_NOT_AUTHENTIC &&
		  len == 0, "which opens nothing either");
}

/* Unwrap from and to memory of the very size; the output must be wiped. */
static KmsStatus
unwrap(const KmsMasterKey *key, const KmsWrapContext *with,
	   const unsigned char *wrap, size_t len, bool *wiped)
{
	size_t		out_size = len > KMS_WRAP_OVERHEAD ? len - KMS_WRAP_OVERHEAD : 0;
	unsigned char *in = malloc(len > 0 ? len : 1);
	unsigned char *out = malloc(out_size > 0 ? out_size : 1);
	size_t		out_len = 99;
	KmsStatus	status;

	memcpy(in, wrap, len);
	memset(out, 0xff, out_size);
	status = kms_wrap_open(key, with, in, len, out, &out_len);
	*wiped = out_len == 0 && is_all(out, out_size, 0);
	free(in);
	free(out);
	return status;
}

static void
test_damaged(const unsigned char *wrap, size_t len)
{
	unsigned char bad[KMS_WRAP_OVERHEAD + 64];
	bool		all_wiped = true;
	bool		all_refused = true;
	bool		wiped;
	size_t		i;
	int			bit;

	for (i = 0; i < len; i++)
	{
		for (bit = 0; bit < 8; bit++)
		{
			KmsStatus	expected = i >= 1 && i <= KMS_MASTER_KEY_ID_SIZE ?
			KMS_OTHER_MASTER_KEY : KMS_NOT_AUTHENTIC;

			memcpy(bad, wrap, len);
			bad[i] ^= (unsigned char) (1 << bit);
			all_refused = all_refused &&
				unwrap(&master, &context, bad, len, &wiped) == expected;
			all_wiped = all_wiped && wiped;
		}
	}
	check(all_refused, "a wrap with any bit changed is refused");
	check(all_wiped, "nothing of a changed wrap is left in the output");

	all_refused = all_wiped = true;
	for (i = 0; i < len; i++)
	{
		all_refused = all_refused &&
			unwrap(&master, &context, wrap, i, &wiped) == KMS_NOT_AUTHENTIC;
		all_wiped = all_wiped && wiped;
	}
	check(all_refused, "a wrap cut off anywhere is refused");
	check(all_wiped,
		  "nothing of a wrap that was cut off is left in the output");

	memcpy(bad, wrap, len);
	bad[len] = 0;
	check(unwrap(&master, &context, bad, len + 1,
				 &wiped) == KMS_NOT_AUTHENTIC && wiped,
		  "a wrap with a byte more is refused");
}

static void
check_other(const unsigned char *wrap, size_t len, const KmsWrapContext *other,
			const char *what)
{
	bool		wiped;

	check(unwrap(&master, other, wrap, len, &wiped) == KMS_NOT_AUTHENTIC &&
		  wiped, "another %s is refused", what);
}

static void
test_other_context(const unsigned char *wrap, size_t len)
{
	KmsWrapContext other = context;
	int			i;

	other.purpose = KMS_PURPOSE_KEY;
	check_other(wrap, len, &other, "purpose");
	other = context;
	other.key_id = "key_0000000000000_000000000000000000000001";
	check_other(wrap, len, &other, "key id");
	other = context;
	other.device_id = "device e";
	check_other(wrap, len, &other, "device");
	other.device_id = "";
	check_other(wrap, len, &other, "device (empty)");
	other.device_id = NULL;
	check_other(wrap, len, &other, "device (none)");
	other = context;
	other.algorithm = "RSA-3072";
	check_other(wrap, len, &other, "algorithm");
	other = context;
	other.device_id = "device \303\251R";
	other.algorithm = "SA-2048";
	check_other(wrap, len, &other, "border between device and algorithm");
	other = context;
	other.created_at = 0;
	check_other(wrap, len, &other, "creation time");
	for (i = 0; i < KMS_SHA256_SIZE; i += 31)
	{
		other = context;
		other.public_hash[i] ^= 1;
		check_other(wrap, len, &other, "public hash");
	}
}

static void
test_other_master(const unsigned char *wrap, size_t len)
{
	KmsMasterKey other = master;
	bool		wiped;

	other.id[7] ^= 1;
	check(unwrap(&other, &context, wrap, len, &wiped) ==
		  KMS_OTHER_MASTER_KEY && wiped, "another fingerprint is told apart");
	other = master;
	other.key[31] ^= 1;
	check(unwrap(&other, &context, wrap, len, &wiped) ==
		  KMS_NOT_AUTHENTIC && wiped,
		  "another master key with that fingerprint is refused");
}

static void
test_wrap_ids(const unsigned char *wrap, size_t len)
{
	unsigned char other[KMS_WRAP_OVERHEAD + 64];

	memcpy(other, wrap, len);
	check(kms_wrap_master_key_id(wrap, len) == wrap + 1 &&
		  memcmp(wrap + 1, master.id, KMS_MASTER_KEY_ID_SIZE) == 0,
		  "the fingerprint in a wrap");
	check(kms_wrap_master_key_id(wrap, KMS_WRAP_OVERHEAD) == NULL &&
		  kms_wrap_master_key_id(wrap, 0) == NULL &&
		  kms_wrap_master_key_id(NULL, 0) == NULL,
		  "a wrap that is too short has no fingerprint");
	other[0] = 0x02;
	check(kms_wrap_master_key_id(other, len) == NULL,
		  "a wrap of another format has no fingerprint");
}

/* ---- seal and encoder ------------------------------------------------- */

static void
test_seal(void)
{
	unsigned char data[64];
	unsigned char other_data[64];
	unsigned char seal[KMS_SEAL_SIZE + 1] = {0};
	unsigned char bad[KMS_SEAL_SIZE];
	KmsMasterKey other = master;
	KmsEncoder	row;
	KmsEncoder	other_row;
	bool		ok = true;
	size_t		i;

	fill_row(&row, data, sizeof(data));
	check(kms_seal(&master, &row, seal) == KMS_OK &&
		  kms_seal_verify(&master, &row, seal, KMS_SEAL_SIZE) == KMS_OK,
		  "a seal verifies");
	check(kms_seal_master_key_id(seal, KMS_SEAL_SIZE) == seal + 1 &&
		  kms_seal_master_key_id(seal, KMS_SEAL_SIZE - 1) == NULL &&
		  kms_seal_master_key_id(NULL, 0) == NULL,
		  "the fingerprint in a seal");

	for (i = 0; i < KMS_SEAL_SIZE * 8; i++)
	{
		KmsStatus	expected = i / 8 >= 1 && i / 8 <= KMS_MASTER_KEY_ID_SIZE ?
		KMS_OTHER_MASTER_KEY : KMS_NOT_AUTHENTIC;

		memcpy(bad, seal, KMS_SEAL_SIZE);
		bad[i / 8] ^= (unsigned char) (1 << i % 8);
		ok = ok && kms_seal_verify(&master, &row, bad,
								   KMS_SEAL_SIZE) == expected;
	}
	check(ok, "a seal with any bit changed is refused");
	for (i = 0; i <= KMS_SEAL_SIZE + 1; i++)
		ok = ok && (i == KMS_SEAL_SIZE ||
					kms_seal_verify(&master, &row, seal,
									i) == KMS_NOT_AUTHENTIC);
	check(ok, "a seal of another length is refused");

	for (i = 0; i < row.len; i++)
	{
		memcpy(other_data, data, sizeof(data));
		other_row = row;
		other_row.data = other_data;
		other_data[i] ^= 0x80;
		ok = ok && kms_seal_verify(&master, &other_row, seal,
								   KMS_SEAL_SIZE) == KMS_NOT_AUTHENTIC;
		other_row = row;
		other_row.len = i;
		ok = ok && kms_seal_verify(&master, &other_row, seal,
								   KMS_SEAL_SIZE) == KMS_NOT_AUTHENTIC;
	}
	check(ok, "the seal of another row is refused");

	other.key[0] ^= 1;
	check(kms_seal_verify(&other, &row, seal,
						  KMS_SEAL_SIZE) == KMS_NOT_AUTHENTIC,
		  "the seal of another master key is refused");
	other.id[0] ^= 1;
	check(kms_seal_verify(&other, &row, seal,
						  KMS_SEAL_SIZE) == KMS_OTHER_MASTER_KEY,
		  "a seal with another fingerprint is told apart");

	fill_row(&other_row, other_data, 10);
	memset(bad, 0xff, sizeof(bad));
	check(kms_seal(&master, &other_row, bad) == KMS_BAD_FORMAT &&
		  is_all(bad, sizeof(bad), 0), "a row that did not fit has no seal");
	check(kms_seal_verify(&master, &other_row, seal,
						  KMS_SEAL_SIZE) == KMS_NOT_AUTHENTIC,
		  "no seal of such a row verifies");
}

static void
test_encoder(void)
{
	static const unsigned char expected[] = {
		0, 0, 0, 2, 'a', 'b',
		0, 0, 0, 0,
		0xff, 0xff, 0xff, 0xff,
		0, 0, 0, 1, 0,
		0x80, 0, 0, 0, 0, 0, 0, 0,
		1, 2, 3, 4, 5, 6, 7, 8,
		0, 0, 1, 2
	};
	unsigned char data[sizeof(expected)];
	KmsEncoder	enc;
	size_t		size;
	bool		ok = true;

	for (size = 0; size <= sizeof(expected); size++)
	{
		unsigned char *room = malloc(size > 0 ? size : 1);

		kms_encoder_init(&enc, room, size);
		kms_encoder_text(&enc, "ab");
		kms_encoder_text(&enc, "");
		kms_encoder_text(&enc, NULL);
		kms_encoder_bytes(&enc, "", 1);
		kms_encoder_int64(&enc, INT64_MIN);
		kms_encoder_int64(&enc, INT64_C(0x0102030405060708));
		kms_encoder_length(&enc, 0x102);
		ok = ok && kms_encoder_ok(&enc) == (size == sizeof(expected));
		if (size == sizeof(expected))
			check(enc.len == size && memcmp(room, expected, size) == 0,
				  "the encodings");
		free(room);
	}
	check(ok, "too little room, however little, is told");

	kms_encoder_init(&enc, data, 5);
	kms_encoder_int64(&enc, 1);
	kms_encoder_text(&enc, "");
	check(!kms_encoder_ok(&enc) && enc.len == 0,
		  "nothing is added after what did not fit");
	kms_encoder_init(&enc, data, sizeof(data));
	kms_encoder_bytes(&enc, NULL, 0);
	check(kms_encoder_ok(&enc) && enc.len == 4, "no bytes");
	kms_encoder_bytes(&enc, data, UINT32_MAX);
	check(!kms_encoder_ok(&enc), "a length that would read as NULL");
}

int
main(void)
{
	unsigned char wrap[KMS_WRAP_OVERHEAD + 48];
	unsigned char content[48];
	size_t		len;

	set_up();
	test_vectors();
	test_sizes();
	test_fresh();
	test_refused_to_wrap();

	memset(content, 0xa5, sizeof(content));
	check(kms_wrap(&master, &context, content, sizeof(content),
				   wrap, &len) == KMS_OK, "a wrap to damage");
	test_damaged(wrap, len);
	test_other_context(wrap, len);
	test_other_master(wrap, len);
	test_wrap_ids(wrap, len);
	test_seal();
	test_encoder();
	return tap_done();
}
