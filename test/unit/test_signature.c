/*
 * Ed25519: the vectors of RFC 8032, 7.1, and what does not verify.
 */
#include "crypto/signature.h"
#include "tap.h"

typedef struct Vector
{
	const char *name;
	const char *private_key;
	const char *public_key;
	const char *message;
	const char *signature;
} Vector;

static const Vector vectors[] = {
	{
		"RFC 8032, test 1",
		"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
		"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
		"",
		"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
		"5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
	},
	{
		"RFC 8032, test 2",
		"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
		"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
		"72",
		"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
		"085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
	},
	{
		"RFC 8032, test 3",
		"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
		"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
		"af82",
		"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
		"18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
	},
	{
		"RFC 8032, test SHA(abc)",
		"833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
		"ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
		"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
		"dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
		"09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
	}
};

/* RFC 8410, 10.1 has this public key in this form. */
static const char spki_start[] = "302a300506032b6570032100";

static size_t
bytes(const char *hex, unsigned char *out)
{
	size_t		len = strlen(hex) / 2;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		unsigned int byte;

		sscanf(hex + 2 * i, "%2x", &byte);
		out[i] = (unsigned char) byte;
	}
	return len;
}

static void
test_vector(const Vector *vector)
{
	unsigned char private_key[KMS_SIGNATURE_PRIVATE_SIZE];
	unsigned char public_key[KMS_SIGNATURE_PUBLIC_SIZE];
	unsigned char message[64];
	unsigned char answer[KMS_SIGNATURE_SIZE];
	unsigned char signature[KMS_SIGNATURE_SIZE];
	size_t		len = bytes(vector->message, message);
	size_t		start = bytes(spki_start, public_key);

	bytes(vector->private_key, private_key);
	bytes(vector->public_key, public_key + start);
	bytes(vector->signature, answer);
	check(kms_signature_sign(private_key, message, len, signature) == KMS_OK &&
		  memcmp(signature, answer, sizeof(answer)) == 0,
		  "%s: signs", vector->name);
	check(kms_signature_verify(public_key, sizeof(public_key), message, len,
							   answer) == KMS_OK,
		  "%s: verifies", vector->name);
}

/* Each bit of the signature and of the message, and a byte more or less. */
static void
test_refusals(void)
{
	unsigned char private_key[KMS_SIGNATURE_PRIVATE_SIZE];
	unsigned char public_key[KMS_SIGNATURE_PUBLIC_SIZE];
	unsigned char other[KMS_SIGNATURE_PUBLIC_SIZE];
	unsigned char signature[KMS_SIGNATURE_SIZE];
	char		message[] = "kms audit checkpoint";
	size_t		len = strlen(message);
	size_t		refused = 0;
	size_t		i;

	check(kms_signature_make(private_key, public_key) == KMS_OK &&
		  kms_signature_sign(private_key, message, len, signature) == KMS_OK &&
		  kms_signature_verify(public_key, sizeof(public_key), message, len,
							   signature) == KMS_OK,
		  "a key that was made signs, and its public key verifies that");
	for (i = 0; i < 8 * sizeof(signature); i++)
	{
		signature[i / 8] ^= (unsigned char) (1 << i % 8);
		if (kms_signature_verify(public_key, sizeof(public_key), message, len,
								 signature) == KMS_NOT_AUTHENTIC)
			refused++;
		signature[i / 8] ^= (unsigned char) (1 << i % 8);
	}
	check(refused == 8 * sizeof(signature), "no bit of a signature can change");
	for (refused = 0, i = 0; i < 8 * len; i++)
	{
		message[i / 8] ^= (char) (1 << i % 8);
		if (kms_signature_verify(public_key, sizeof(public_key), message, len,
								 signature) == KMS_NOT_AUTHENTIC)
			refused++;
		message[i / 8] ^= (char) (1 << i % 8);
	}
	check(refused == 8 * len, "no bit of the message can change");
	check(kms_signature_verify(public_key, sizeof(public_key), message, len - 1,
							   signature) == KMS_NOT_AUTHENTIC &&
		  kms_signature_verify(public_key, sizeof(public_key), message, len + 1,
							   signature) == KMS_NOT_AUTHENTIC,
		  "the length of the signature cannot change");

	check(kms_signature_make(private_key, other) == KMS_OK &&
		  memcmp(public_key, other, sizeof(other)) != 0 &&
		  kms_signature_verify(other, sizeof(other), message, len,
							   signature) == KMS_NOT_AUTHENTIC,
		  "another key does not verify");
}

static void
test_bad_keys(void)
{
	unsigned char private_key[KMS_SIGNATURE_PRIVATE_SIZE];
	unsigned char public_key[KMS_SIGNATURE_PUBLIC_SIZE + 1] = {0};
	unsigned char signature[KMS_SIGNATURE_SIZE];
	size_t		refused = 0;
	size_t		i;

	(void) kms_signature_make(private_key, public_key);
	(void) kms_signature_sign(private_key, "x", 1, signature);
	for (i = 0; i < sizeof(public_key) + 1; i++)
	{
		if (i != KMS_SIGNATURE_PUBLIC_SIZE &&
			kms_signature_verify(public_key, i, "x", 1,
								 signature) == KMS_BAD_KEY)
			refused++;
	}
	check(refused == sizeof(public_key), "a public key has one length");
	for (refused = 0, i = 0; i < 12; i++)
	{
		public_key[i] ^= 0x01;
		if (kms_signature_verify(public_key, KMS_SIGNATURE_PUBLIC_SIZE, "x", 1,
								 signature) == KMS_BAD_KEY)
			refused++;
		public_key[i] ^= 0x01;
	}
	check(refused == 12, "a public key has one form");

	/* no point of the curve has this y (RFC 8032, 5.1.3) */
	memset(public_key + 12, 0xff, 32);
	check(kms_signature_verify(public_key, KMS_SIGNATURE_PUBLIC_SIZE, "x", 1,
							   signature) != KMS_OK,
		  "a public key is a point of the curve");
}

int
main(void)
{
	size_t		i;

	for (i = 0; i < LENGTH_OF(vectors); i++)
		test_vector(&vectors[i]);
	test_refusals();
	test_bad_keys();
	return tap_done();
}
