/*
 * Content encryption with the vectors of RFC 7518, B, and of GCM's submission
 * to NIST; lengths at the bounds, and every refusal.
 */
#include <limits.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "hex.h"
#include "tap.h"

#define BYTES(array) array, sizeof(array)
#define BUFFER	512				/* bytes; of the vectors */
#define LARGE	(1024 * 1024 + 5)	/* bytes */

typedef struct AeadVector
{
	const char *name;
	KmsJweEnc	enc;
	const char *cek;
	const char *iv;
	const char *aad;
	const char *plaintext;
	const char *ciphertext;
	const char *tag;
} AeadVector;

#define KEY_32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_48 KEY_32 "202122232425262728292a2b2c2d2e2f"
#define KEY_64 KEY_48 "303132333435363738393a3b3c3d3e3f"
#define KERCKHOFFS_IV "1af38c2dc2b96ffdd86694092341bc04"
#define KERCKHOFFS \
	"41206369706865722073797374656d206d757374206e6f742062652072657175" \
	"6972656420746f206265207365637265742c20616e64206974206d7573742062" \
	"652061626c6520746f2066616c6c20696e746f207468652068616e6473206f66" \
	"2074686520656e656d7920776974686f757420696e636f6e76656e69656e6365"
#define PRINCIPLE \
	"546865207365636f6e64207072696e6369706c65206f66204175677573746520" \
	"4b6572636b686f666673"
#define GCM_KEY_16 "feffe9928665731c6d6a8f9467308308"
#define GCM_KEY_24 GCM_KEY_16 "feffe9928665731c"
#define GCM_KEY_32 GCM_KEY_16 GCM_KEY_16
#define GCM_IV "cafebabefacedbaddecaf888"
#define GCM_AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define GCM_PLAIN \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" \
	"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define ZEROS_16 "00000000000000000000000000000000"
#define ZEROS_12 "000000000000000000000000"

static const AeadVector vectors[] = {
	{"RFC 7518, B.1", KMS_A128CBC_HS256, KEY_32, KERCKHOFFS_IV, PRINCIPLE,
		KERCKHOFFS,
		"c80edfa32ddf39d5ef00c0b468834279a2e46a1b8049f792f76bfe54b903a9c9"
		"a94ac9b47ad2655c5f10f9aef71427e2fc6f9b3f399a221489f16362c7032336"
		"09d45ac69864e3321cf82935ac4096c86e133314c54019e8ca7980dfa4b9cf1b"
		"384c486f3a54c51078158ee5d79de59fbd34d848b3d69550a67646344427ade5"
		"4b8851ffb598f7f80074b9473c82e2db",
	"652c3fa36b0a7c5b3219fab3a30bc1c4"},
	{"RFC 7518, B.2", KMS_A192CBC_HS384, KEY_48, KERCKHOFFS_IV, PRINCIPLE,
		KERCKHOFFS,
		"ea65da6b59e61edb419be62d19712ae5d303eeb50052d0dfd6697f77224c8edb"
		"000d279bdc14c1072654bd30944230c657bed4ca0c9f4a8466f22b226d174621"
		"4bf8cfc2400add9f5126e479663fc90b3bed787a2f0ffcbf3904be2a641d5c21"
		"05bfe591bae23b1d7449e532eef60a9ac8bb6c6b01d35d49787bcd57ef484927"
		"f280adc91ac0c4e79c7b11efc60054e3",
	"8490ac0e58949bfe51875d733f93ac2075168039ccc733d7"},
	{"RFC 7518, B.3", KMS_A256CBC_HS512, KEY_64, KERCKHOFFS_IV, PRINCIPLE,
		KERCKHOFFS,
		"4affaaadb78c31c5da4b1b590d10ffbd3dd8d5d302423526912da037ecbcc7bd"
		"822c301dd67c373bccb584ad3e9279c2e6d12a1374b77f077553df829410446b"
		"36ebd97066296ae6427ea75c2e0846a11a09ccf5370dc80bfecbad28c73f09b3"
		"a3b75e662a2594410ae496b2e2e6609e31e6e02cc837f053d21f37ff4f51950b"
		"be2638d09dd7a4930930806d0703b1f6",
	"4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5"},
	{"GCM, test case 1", KMS_A128GCM, ZEROS_16, ZEROS_12, "", "", "",
	"58e2fccefa7e3061367f1d57a4e7455a"},
	{"GCM, test case 4", KMS_A128GCM, GCM_KEY_16, GCM_IV, GCM_AAD, GCM_PLAIN,
		"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
		"21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
	"5bc94fbc3221a5db94fae95ae7121a47"},
	{"GCM, test case 7", KMS_A192GCM, ZEROS_16 "0000000000000000", ZEROS_12,
	"", "", "", "cd33b28ac773f74ba00ed1f312572435"},
	{"GCM, test case 10", KMS_A192GCM, GCM_KEY_24, GCM_IV, GCM_AAD, GCM_PLAIN,
		"3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c"
		"7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710",
	"2519498e80f1478f37ba55bd6d27618c"},
	{"GCM, test case 13", KMS_A256GCM, ZEROS_16 ZEROS_16, ZEROS_12, "", "", "",
	"530f8afbc74536b9a963b4f1c4cb738b"},
	{"GCM, test case 16", KMS_A256GCM, GCM_KEY_32, GCM_IV, GCM_AAD, GCM_PLAIN,
		"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
	"76fc6ece0f4e1768cddf8853bb2d551b"}
};

/* Decrypt from and to memory of the very size; anything but OK is wiped. */
static KmsStatus
decrypt(const KmsAead *aead, const unsigned char *in, size_t len,
		const unsigned char *tag, const unsigned char *plain,
		size_t plain_len)
{
	size_t		tag_size = kms_jwe_algorithm_tag_size(aead->enc);
	unsigned char *copy = malloc(len + 1);
	unsigned char *tag_copy = malloc(tag_size);
	unsigned char *out = malloc(len > 0 ? len : 1);
	size_t		out_len = 99;
	KmsStatus	status;

	memcpy(copy + 1, in, len);
	memcpy(tag_copy, tag, tag_size);
	memset(out, 0xff, len);
	status = kms_aead_decrypt(aead, copy + 1, len, tag_copy, out, &out_len);
	if (status == KMS_OK && (out_len != plain_len ||
							 memcmp(out, plain, plain_len) != 0))
		status = KMS_FAILED;
	if (status != KMS_OK && (out_len != 0 || !is_all(out, len, 0)))
		status = KMS_BAD_FORMAT;
	if (ERR_peek_error() != 0)
		status = KMS_BAD_KEY;
	free(copy);
	free(tag_copy);
	free(out);
	return status;
}

typedef struct Message
{
	unsigned char cek[KMS_JWE_CEK_MAX];
	unsigned char iv[KMS_JWE_IV_MAX];
	unsigned char aad[BUFFER];
	unsigned char plain[BUFFER];
	unsigned char cipher[BUFFER];
	unsigned char tag[KMS_JWE_TAG_MAX];
	size_t		plain_len;
	size_t		cipher_len;
	KmsAead		aead;
} Message;

static void
read_vector(const AeadVector *vector, Message *message)
{
	KmsAead    *aead = &message->aead;

	aead->enc = vector->enc;
	aead->cek = message->cek;
	aead->iv = message->iv;
	aead->aad = message->aad;
	aead->aad_len = from_hex(vector->aad, BYTES(message->aad));
	message->plain_len = from_hex(vector->plaintext, BYTES(message->plain));
	message->cipher_len = from_hex(vector->ciphertext, BYTES(message->cipher));
	if (from_hex(vector->cek, BYTES(message->cek)) !=
		kms_jwe_algorithm_cek_size(vector->enc) ||
		from_hex(vector->iv, BYTES(message->iv)) !=
		kms_jwe_algorithm_iv_size(vector->enc) ||
		from_hex(vector->tag, BYTES(message->tag)) !=
		kms_jwe_algorithm_tag_size(vector->enc))
	{
		printf("Bail out! %s: a length is wrong\n", vector->name);
		exit(1);
	}
}

static KmsStatus
open_message(const Message *message)
{
	return decrypt(&message->aead, message->cipher, message->cipher_len,
				   message->tag, message->plain, message->plain_len);
}

/* Return how many of the bits, each changed alone, are not found out. */
static int
count_unnoticed(const Message *message, unsigned char *bytes, size_t len)
{
	int			unnoticed = 0;
	size_t		i;

	for (i = 0; i < 8 * len; i++)
	{
		bytes[i / 8] ^= (unsigned char) (1 << i % 8);
		if (open_message(message) != KMS_REJECTED)
			unnoticed++;
		bytes[i / 8] ^= (unsigned char) (1 << i % 8);
	}
	return unnoticed;
}

static void
test_vector(const AeadVector *vector)
{
	Message		message;
	unsigned char out[BUFFER];
	unsigned char tag[KMS_JWE_TAG_MAX];
	size_t		len = 99;
	size_t		block = kms_jwe_algorithm_is_cbc(vector->enc) ? 16 : 1;

	read_vector(vector, &message);
	check(kms_aead_encrypt(&message.aead, message.plain, message.plain_len,
						   out, &len, tag) == KMS_OK &&
		  len == message.cipher_len &&
		  len == kms_aead_ciphertext_size(vector->enc, message.plain_len) &&
		  memcmp(out, message.cipher, len) == 0 &&
		  memcmp(tag, message.tag,
				 kms_jwe_algorithm_tag_size(vector->enc)) == 0,
		  "%s: encrypted", vector->name);
	check(open_message(&message) == KMS_OK, "%s: decrypted", vector->name);

	check_number(count_unnoticed(&message, message.cipher, message.cipher_len) +
				 count_unnoticed(&message, message.tag,
								 kms_jwe_algorithm_tag_size(vector->enc)) +
				 count_unnoticed(&message, message.iv,
								 kms_jwe_algorithm_iv_size(vector->enc)) +
				 count_unnoticed(&message, message.aad, message.aead.aad_len) +
				 count_unnoticed(&message, message.cek,
								 kms_jwe_algorithm_cek_size(vector->enc) /
								 (block > 1 ? 2 : 1)), 0,
				 "any bit changed is rejected");
	message.aead.aad_len++;
	check(open_message(&message) == KMS_REJECTED, "%s: a longer AAD",
		  vector->name);
	message.aead.aad_len--;
	if (message.cipher_len > block)
	{
		message.cipher_len -= block;
		check(open_message(&message) == KMS_REJECTED, "%s: content cut off",
			  vector->name);
	}
}

/*
 * The AAD and the content may not be divided otherwise: their lengths are in
 * what is authenticated.
 */
static void
test_division(void)
{
	unsigned char cek[32] = {1};
	unsigned char iv[16] = {2};
	unsigned char bytes[64] = {3};
	unsigned char tag[KMS_JWE_TAG_MAX];
	unsigned char moved[96];
	KmsAead		aead = {KMS_A128CBC_HS256, cek, iv, bytes, 32};
	size_t		len;

	if (kms_aead_encrypt(&aead, bytes, 15, moved, &len, tag) != KMS_OK)
		exit(2);

	/* The AAD takes the IV, the content's first block becomes the IV. */
	memcpy(moved + 32, moved, len);
	memcpy(moved, bytes, 16);
	memcpy(moved + 16, iv, 16);
	aead.aad = moved;
	aead.iv = moved + 32;
	check(decrypt(&aead, moved + 32, 0, tag, NULL, 0) == KMS_REJECTED,
		  "AAD and content divided otherwise");
}

/* Authentic content with bad padding, which only the key can make. */
static void
test_padding(void)
{
	static const struct
	{
		unsigned char last;		/* byte of the padding, which is 16 bytes of
								 * 16 */
		KmsStatus	status;
	}			cases[] = {
		{16, KMS_OK}, {1, KMS_OK}, {0, KMS_REJECTED}, {2, KMS_REJECTED},
		{15, KMS_REJECTED}, {17, KMS_REJECTED}, {255, KMS_REJECTED}
	};
	unsigned char cek[32];
	unsigned char iv[16] = {0};
	unsigned char plain[32] = {0};
	unsigned char cipher[32 + 8] = {0}; /* with the length of the AAD */
	unsigned char tag[KMS_HMAC_SIZE];
	KmsAead		aead = {KMS_A128CBC_HS256, cek, iv, NULL, 0};
	size_t		len;
	size_t		i;

	if (RAND_bytes(BYTES(cek)) != 1)
		exit(2);
	memset(plain + 16, 16, 16);
	for (i = 0; i < LENGTH_OF(cases); i++)
	{
		/* a byte of the first block changes the same one of the second */
		unsigned char change = 16 ^ cases[i].last;
		unsigned char *out = malloc(32);

		if (kms_aead_encrypt(&aead, plain, 16, cipher, &len, tag) != KMS_OK)
			exit(2);
		cipher[15] ^= change;
		if (!kms_kdf_hmac_sha256(cek, 16, BYTES(iv), BYTES(cipher), tag))
			exit(2);
		memset(out, 0xff, 32);
		check(kms_aead_decrypt(&aead, cipher, 32, tag, out,
							   &len) == cases[i].status &&
			  (cases[i].status == KMS_OK ? len == 32 - (size_t) cases[i].last :
			   len == 0 && is_all(out, 32, 0)), "padding that ends in %d",
			  cases[i].last);
		free(out);
	}
}

/* Encrypt from and to memory of the very size, and decrypt. */
static bool
goes_round(KmsJweEnc enc, const unsigned char *bytes, size_t len)
{
	unsigned char cek[KMS_JWE_CEK_MAX];
	unsigned char iv[KMS_JWE_IV_MAX];
	size_t		size = kms_aead_ciphertext_size(enc, len);
	unsigned char *in = malloc(len > 0 ? len : 1);
	unsigned char *out = malloc(size > 0 ? size : 1);
	unsigned char *tag = malloc(kms_jwe_algorithm_tag_size(enc));
	KmsAead		aead = {enc, cek, iv, bytes, len % 50};
	size_t		out_len = 99;
	bool		ok;

	if (RAND_bytes(BYTES(cek)) != 1 || RAND_bytes(BYTES(iv)) != 1)
		exit(2);
	memcpy(in, bytes, len);
	ok = kms_aead_encrypt(&aead, in, len, out, &out_len, tag) == KMS_OK &&
		out_len == size && ERR_peek_error() == 0;
	ok = ok && decrypt(&aead, out, out_len, tag, bytes, len) == KMS_OK;
	tag[0] ^= 1;
	ok = ok && decrypt(&aead, out, out_len, tag, bytes, len) == KMS_REJECTED;
	free(in);
	free(out);
	free(tag);
	return ok;
}

static void
test_lengths(KmsJweEnc enc, const unsigned char *bytes)
{
	unsigned char tag[KMS_JWE_TAG_MAX] = {1};
	unsigned char cek[KMS_JWE_CEK_MAX] = {0};
	KmsAead		aead = {enc, cek, cek, NULL, 0};
	size_t		len = 99;
	bool		ok = true;
	size_t		i;

	for (i = 0; i <= 65; i++)
		ok = ok && goes_round(enc, bytes, i);
	check(ok, "%s: 0 to 65 bytes", kms_jwe_algorithm_enc_name(enc));
	check(goes_round(enc, bytes, LARGE), "%s: 1 MB",
		  kms_jwe_algorithm_enc_name(enc));
	check(kms_aead_ciphertext_size(enc, INT_MAX) == 0 &&
		  kms_aead_encrypt(&aead, bytes, INT_MAX, NULL, &len,
						   tag) == KMS_TOO_LONG && len == 0 &&
		  is_all(tag, kms_jwe_algorithm_tag_size(enc), 0),
		  "%s: 2 GB are too long", kms_jwe_algorithm_enc_name(enc));
	aead.aad_len = INT_MAX;
	check(kms_aead_encrypt(&aead, bytes, 0, cek, &len, tag) == KMS_TOO_LONG,
		  "%s: so is an AAD of 2 GB", kms_jwe_algorithm_enc_name(enc));
}

int
main(void)
{
	unsigned char *bytes = malloc(LARGE);
	size_t		i;
	int			enc;

	if (RAND_bytes(bytes, LARGE) != 1)
		exit(2);
	for (i = 0; i < LENGTH_OF(vectors); i++)
		test_vector(&vectors[i]);
	test_division();
	test_padding();
	for (enc = KMS_A128GCM; enc <= KMS_A256CBC_HS512; enc++)
		test_lengths((KmsJweEnc) enc, bytes);
	free(bytes);
	return tap_done();
}
