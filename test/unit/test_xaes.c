/*
 * XAES-256-GCM with the vectors of its specification, among them the test that
 * accumulates 10,000 messages; every refusal, and what may be left behind.
 */
#include <limits.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "allocations.h"
#include "crypto/xaes.h"
#include "hex.h"
#include "tap.h"

#define BYTES(array) array, sizeof(array)
#define SMALL	64				/* bytes */
#define LARGE	(1024 * 1024)	/* bytes */
#define ROUNDS	10000
#define ROUND_MAX (32 + 24 + 1 + 255 + 1 + 255) /* bytes */

#define PLAIN	"XAES-256-GCM"
#define NONCE	"ABCDEFGHIJKLMNOPQRSTUVWX"

typedef struct XaesVector
{
	unsigned char key_byte;
	const char *aad;
	const char *ciphertext;		/* with the tag, hexadecimal */
} XaesVector;

/* In the first the highest bit of L is not set, in the second it is. */
static const XaesVector vectors[] = {
	{0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
	{0x03, "c2sp.org/XAES-256-GCM",
	"986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"}
};

typedef struct Message
{
	unsigned char key[KMS_XAES_KEY_SIZE];
	unsigned char nonce[KMS_XAES_NONCE_SIZE];
	unsigned char aad[SMALL];
	size_t		aad_len;
	unsigned char plain[SMALL];
	unsigned char cipher[SMALL];
	size_t		len;
	unsigned char tag[KMS_XAES_TAG_SIZE];
} Message;

static KmsXaes *
new_xaes(const unsigned char *key)
{
	KmsXaes    *xaes = NULL;

	if (kms_xaes_new(key, &xaes) != KMS_OK)
	{
		printf("Bail out! no XAES\n");
		exit(1);
	}
	return xaes;
}

/* Decrypt from and to memory of the very size; anything but OK is wiped. */
static KmsStatus
decrypt(KmsXaes *xaes, const unsigned char *nonce, const unsigned char *aad,
		size_t aad_len, const unsigned char *in, size_t len,
		const unsigned char *tag, const unsigned char *plain)
{
	unsigned char *copy = malloc(len + 1);
	unsigned char *out = malloc(len > 0 ? len : 1);
	KmsStatus	status;

	memcpy(copy + 1, in, len);
	memset(out, 0xff, len);
	status = kms_xaes_decrypt(xaes, nonce, aad, aad_len, copy + 1, len, tag,
							  out);
	if (status == KMS_OK && memcmp(out, plain, len) != 0)
		status = KMS_FAILED;
	if (status != KMS_OK && !is_all(out, len, 0))
		status = KMS_BAD_FORMAT;
	if (ERR_peek_error() != 0)
		status = KMS_BAD_KEY;
	free(copy);
	free(out);
	return status;
}

static KmsStatus
open_message(const Message *message)
{
	KmsXaes    *xaes = new_xaes(message->key);
	KmsStatus	status;

	status = decrypt(xaes, message->nonce, message->aad, message->aad_len,
					 message->cipher, message->len, message->tag,
					 message->plain);
	kms_xaes_free(xaes);
	return status;
}

static void
read_vector(const XaesVector *vector, Message *message)
{
	unsigned char bytes[SMALL];

	memset(message->key, vector->key_byte, sizeof(message->key));
	memcpy(message->nonce, NONCE, sizeof(message->nonce));
	message->aad_len = strlen(vector->aad);
	memcpy(message->aad, vector->aad, message->aad_len);
	message->len = strlen(PLAIN);
	memcpy(message->plain, PLAIN, message->len);
	if (from_hex(vector->ciphertext, BYTES(bytes)) !=
		message->len + sizeof(message->tag))
		exit(2);
	memcpy(message->cipher, bytes, message->len);
	memcpy(message->tag, bytes + message->len, sizeof(message->tag));
}

/* How many single bits can be changed without a refusal. */
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
test_vector(const XaesVector *vector)
{
	Message		message;
	unsigned char out[SMALL];
	unsigned char tag[KMS_XAES_TAG_SIZE];
	KmsXaes    *xaes;

	read_vector(vector, &message);
	xaes = new_xaes(message.key);
	check(kms_xaes_encrypt(xaes, message.nonce, message.aad, message.aad_len,
						   message.plain, message.len, out, tag) == KMS_OK &&
		  memcmp(out, message.cipher, message.len) == 0 &&
		  memcmp(tag, message.tag, sizeof(tag)) == 0,
		  "key %02x: encrypted", vector->key_byte);
	kms_xaes_free(xaes);
	check(open_message(&message) == KMS_OK, "key %02x: decrypted",
		  vector->key_byte);

	check_number(count_unnoticed(&message, message.cipher, message.len) +
				 count_unnoticed(&message, BYTES(message.tag)) +
				 count_unnoticed(&message, BYTES(message.nonce)) +
				 count_unnoticed(&message, message.aad, message.aad_len) +
				 count_unnoticed(&message, BYTES(message.key)), 0,
				 "any bit changed is rejected");
	message.aad[message.aad_len++] = 0;
	check(open_message(&message) == KMS_REJECTED, "a longer AAD");
	message.aad_len--;
	message.len--;
	check(open_message(&message) == KMS_REJECTED, "content cut off");
}

/* The specification's structure, read from a stream of SHAKE-128. */
static const unsigned char *
take(const unsigned char **stream, size_t len)
{
	const unsigned char *from = *stream;

	*stream += len;
	return from;
}

static void
test_accumulated(void)
{
	unsigned char *stream = malloc(ROUNDS * ROUND_MAX);
	const unsigned char *at = stream;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	unsigned char expected[32];
	unsigned char found[32] = {0};
	int			bad = 0;
	int			i;

	if (EVP_DigestInit_ex(digest, EVP_shake128(), NULL) != 1 ||
		EVP_DigestFinalXOF(digest, stream, ROUNDS * ROUND_MAX) != 1 ||
		EVP_DigestInit_ex(digest, EVP_shake128(), NULL) != 1)
		exit(2);
	for (i = 0; i < ROUNDS; i++)
	{
		KmsXaes    *xaes = new_xaes(take(&at, KMS_XAES_KEY_SIZE));
		const unsigned char *nonce = take(&at, KMS_XAES_NONCE_SIZE);
		size_t		len = *take(&at, 1);
		const unsigned char *plain = take(&at, len);
		size_t		aad_len = *take(&at, 1);
		const unsigned char *aad = take(&at, aad_len);
		unsigned char out[255];
		unsigned char tag[KMS_XAES_TAG_SIZE];

		if (kms_xaes_encrypt(xaes, nonce, aad, aad_len, plain, len, out,
							 tag) != KMS_OK ||
			decrypt(xaes, nonce, aad, aad_len, out, len, tag,
					plain) != KMS_OK ||
			EVP_DigestUpdate(digest, out, len) != 1 ||
			EVP_DigestUpdate(digest, BYTES(tag)) != 1)
			bad++;
		kms_xaes_free(xaes);
	}
	(void) from_hex("e6b9edf2df6cec60c8cbd864e2211b59"
					"7fb69a529160cd040d56c0c210081939", BYTES(expected));
	check(EVP_DigestFinalXOF(digest, BYTES(found)) == 1 && bad == 0 &&
		  memcmp(found, expected, sizeof(found)) == 0,
		  "%d messages have the digest of the specification", ROUNDS);
	EVP_MD_CTX_free(digest);
	free(stream);
}

/* Encrypt from and to memory of the very size, decrypt, and reject. */
static bool
goes_round(KmsXaes *xaes, const unsigned char *bytes, size_t len,
		   size_t aad_len)
{
	unsigned char nonce[KMS_XAES_NONCE_SIZE];
	unsigned char *in = malloc(len > 0 ? len : 1);
	unsigned char *aad = malloc(aad_len > 0 ? aad_len : 1);
	unsigned char *out = malloc(len > 0 ? len : 1);
	unsigned char *tag = malloc(KMS_XAES_TAG_SIZE);
	bool		ok;

	if (RAND_bytes(BYTES(nonce)) != 1)
		exit(2);
	memcpy(in, bytes, len);
	memcpy(aad, bytes, aad_len);
	ok = kms_xaes_encrypt(xaes, nonce, aad, aad_len, in, len, out,
						  tag) == KMS_OK && ERR_peek_error() == 0;
	ok = ok && decrypt(xaes, nonce, aad, aad_len, out, len, tag,
					   bytes) == KMS_OK;
	tag[KMS_XAES_TAG_SIZE - 1] ^= 0x80;
	ok = ok && decrypt(xaes, nonce, aad, aad_len, out, len, tag,
					   bytes) == KMS_REJECTED;
	tag[KMS_XAES_TAG_SIZE - 1] ^= 0x80;

	/* A refusal must not spoil what comes next. */
	ok = ok && decrypt(xaes, nonce, aad, aad_len, out, len, tag,
					   bytes) == KMS_OK;
	free(in);
	free(aad);
	free(out);
	free(tag);
	return ok;
}

static void
test_lengths(void)
{
	static const size_t aad_lens[] = {0, 1, 15, 16, 17, 1055};
	unsigned char *bytes = malloc(LARGE);
	KmsXaes    *xaes;
	bool		ok = true;
	size_t		len;
	size_t		i;

	if (RAND_bytes(bytes, LARGE) != 1)
		exit(2);
	xaes = new_xaes(bytes);
	for (len = 0; len <= 65; len++)
	{
		for (i = 0; i < LENGTH_OF(aad_lens); i++)
			ok = ok && goes_round(xaes, bytes, len, aad_lens[i]);
	}
	check(ok, "0 to 65 bytes, with AAD of several lengths");
	check(goes_round(xaes, bytes, LARGE, 31), "1 MB");
	kms_xaes_free(xaes);
	free(bytes);
}

static void
test_too_long(void)
{
	unsigned char tag[KMS_XAES_TAG_SIZE];
	KmsXaes    *xaes = new_xaes((const unsigned char *) NONCE "12345678");

	memset(tag, 0x5a, sizeof(tag));
	check(kms_xaes_encrypt(xaes, tag, NULL, 0, NULL, INT_MAX, NULL,
						   tag) == KMS_TOO_LONG &&
		  kms_xaes_encrypt(xaes, tag, NULL, INT_MAX, NULL, 0, NULL,
						   tag) == KMS_TOO_LONG &&
		  kms_xaes_decrypt(xaes, tag, NULL, 0, NULL, INT_MAX, tag,
						   NULL) == KMS_TOO_LONG &&
		  kms_xaes_decrypt(xaes, tag, NULL, INT_MAX, NULL, 0, tag,
						   NULL) == KMS_TOO_LONG &&
		  is_all(BYTES(tag), 0x5a), "2 GB are too long, and nothing is written");
	kms_xaes_free(xaes);
}

/* Some versions of OpenSSL leave an error if a tag is wrong. */
static void
test_error_queue(void)
{
	Message		message;
	KmsXaes    *xaes;

	read_vector(&vectors[0], &message);
	message.tag[0] ^= 1;
	xaes = new_xaes(message.key);
	ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
	check(decrypt(xaes, message.nonce, message.aad, message.aad_len,
				  message.cipher, message.len, message.tag,
				  NULL) == KMS_REJECTED && ERR_peek_error() == 0,
		  "a refusal clears the error queue");
	kms_xaes_free(xaes);
}

/* Messages of several keys in turn, of which none may disturb another. */
static void
test_turns(void)
{
	Message		messages[LENGTH_OF(vectors)];
	KmsXaes    *xaes[LENGTH_OF(vectors)];
	long		before;
	bool		ok = true;
	size_t		turn;

	for (turn = 0; turn < LENGTH_OF(vectors); turn++)
	{
		read_vector(&vectors[turn], &messages[turn]);
		xaes[turn] = new_xaes(messages[turn].key);
		memset(messages[turn].key, 0, sizeof(messages[turn].key));
	}
	before = allocations;
	for (turn = 0; turn < 100; turn++)
	{
		const Message *message = &messages[turn % LENGTH_OF(vectors)];
		KmsXaes    *one = xaes[turn % LENGTH_OF(vectors)];
		unsigned char out[SMALL];
		unsigned char tag[KMS_XAES_TAG_SIZE];

		ok = ok && kms_xaes_encrypt(one, message->nonce, message->aad,
									message->aad_len, message->plain,
									message->len, out, tag) == KMS_OK &&
			memcmp(tag, message->tag, sizeof(tag)) == 0;
		ok = ok && decrypt(one, message->nonce, message->aad,
						   message->aad_len, message->cipher, message->len,
						   message->tag, message->plain) == KMS_OK;
	}
	check(ok, "keys that take turns do not disturb each other");
	check_number(allocations - before, 0, "no message allocates memory");
	for (turn = 0; turn < LENGTH_OF(vectors); turn++)
		kms_xaes_free(xaes[turn]);
}

static void
test_no_memory(void)
{
	unsigned char key[KMS_XAES_KEY_SIZE] = {1};
	KmsXaes    *xaes;
	KmsStatus	status = KMS_NO_MEMORY;
	int			bad = 0;
	int			n;

	for (n = 0; status != KMS_OK && n < 100; n++)
	{
		xaes = (KmsXaes *) key;
		allocations_left = n;
		status = kms_xaes_new(key, &xaes);
		allocations_left = -1;
		if (ERR_peek_error() != 0 ||
			(status != KMS_OK && xaes != NULL) ||
			(n < 3 && status != KMS_NO_MEMORY))
			bad++;
		if (status == KMS_OK)
			kms_xaes_free(xaes);
	}
	check(status == KMS_OK && n > 3 && bad == 0,
		  "any of %d allocations may fail", n - 1);
	kms_xaes_free(NULL);
}

int
main(void)
{
	size_t		i;

	count_allocations();
	for (i = 0; i < LENGTH_OF(vectors); i++)
		test_vector(&vectors[i]);
	test_accumulated();
	test_lengths();
	test_too_long();
	test_error_queue();
	test_turns();
	test_no_memory();
	return tap_done();
}
