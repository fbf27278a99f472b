/*
 * Keys of devices, on OpenSSL's EVP: a public half alone, or both halves.
 *
 * RSA moduli (RFC 8017) have 2048, 3072 or 4096 bits; keys made here have
 * e = 65537.  Keys for ECDH are on P-256 or are X25519 keys.  If OpenSSL does
 * not offer X25519, opening such a key gives KMS_NO_X25519.
 *
 * Every function of this file clears OpenSSL's error queue on entry and exit.
 * None of them raises an error, prints or has a global.
 *
 * A KmsKeyOpener holds the parts that are costly to set up and can be kept for
 * the life of a process: the fetched algorithms and the decoders.  One process
 * uses it at a time.  Free the keys that were opened with it before it is
 * freed.
 */
#ifndef KMS_CRYPTO_KEY_PAIR_H
#define KMS_CRYPTO_KEY_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/key_algorithm.h"
#include "crypto/status.h"

#define KMS_RSA_MIN_BITS	2048
#define KMS_RSA_MAX_BITS	4096
#define KMS_RSA_MAX_BLOCK	(KMS_RSA_MAX_BITS / 8)	/* bytes */
#define KMS_KEY_PAIR_MAX_PRIVATE	2600	/* bytes; DER of the largest
											 * private key */
#define KMS_KEY_PAIR_MAX_PUBLIC	600 /* bytes; SPKI DER of the largest */

typedef struct KmsKeyOpener KmsKeyOpener;
typedef struct KmsKeyPair KmsKeyPair;

/*
 * Return an opener, which the caller frees, or NULL if memory is short or RSA
 * cannot be fetched.
 */
extern KmsKeyOpener *kms_key_pair_opener_new(void);
extern void kms_key_pair_opener_free(KmsKeyOpener *opener);

/*
 * Write the public half as SubjectPublicKeyInfo DER (RFC 5280), or the private
 * key as the DER of PKCS#1 RSAPrivateKey (RFC 8017, A.1.2) or, for ECDH, of
 * PKCS#8 PrivateKeyInfo (RFC 5208; crypto/ec_key.h has the details).
 *
 * "out" holds "size" bytes; *out_len is set.  The caller must wipe the private
 * form (OPENSSL_cleanse); on failure it is wiped here.  KMS_TOO_LONG if it
 * does not fit; KMS_BAD_KEY if there is no private half.
 */
extern KmsStatus kms_key_pair_public_der(const KmsKeyPair *key, unsigned char *out,
										 size_t size, size_t *out_len);
extern KmsStatus kms_key_pair_private_der(const KmsKeyPair *key, unsigned char *out,
										  size_t size, size_t *out_len);

/*
 * Open a key that the two functions above wrote.  The secret numbers of a
 * private key are in OpenSSL's secure heap if there is one.  Trailing bytes,
 * other kinds of key, a modulus outside the bounds, or a point that is not on
 * the curve give KMS_BAD_KEY; a full secure heap gives KMS_NO_MEMORY.  On
 * failure *key is NULL.
 */
extern KmsStatus kms_key_pair_open_private(KmsKeyOpener *opener,
										   KmsKeyType type,
										   const unsigned char *der, size_t len,
										   KmsKeyPair **key);
extern KmsStatus kms_key_pair_open_public(KmsKeyOpener *opener,
										  KmsKeyType type,
										  const unsigned char *der, size_t len,
										  KmsKeyPair **key);

/*
 * Return the key, which is then freed only when kms_key_pair_free() has been
 * called once more.
 */
extern KmsKeyPair *kms_key_pair_share(KmsKeyPair *key);

/* Free and wipe a key.  NULL is allowed. */
extern void kms_key_pair_free(KmsKeyPair *key);

extern KmsKeyType kms_key_pair_type(const KmsKeyPair *key);

/*
 * Write the name of the key's algorithm, such as "RSA-2048" or "EC-P256", to
 * "name", which holds KMS_KEY_ALGORITHM_SIZE bytes.
 */
extern void kms_key_pair_algorithm(const KmsKeyPair *key, char *name);

/*
 * Return the length in bytes of the modulus, and so of a ciphertext, or 0 if
 * the key is not RSA.
 */
extern size_t kms_key_pair_block_size(const KmsKeyPair *key);

/*
 * Convert SPKI DER to PEM ("-----BEGIN PUBLIC KEY-----", 64 characters a line,
 * final newline, NUL-terminated).  KMS_KEY_PAIR_MAX_PEM bytes always suffice;
 * KMS_TOO_LONG if "size" does not.
 */
#define KMS_KEY_PAIR_MAX_PEM 1024

extern KmsStatus kms_key_pair_public_pem(const unsigned char *der, size_t len,
										 char *out, size_t size);

/*
 * The numbers of a public key as needed for a JWK.  The numbers of RSA are
 * big-endian in the fewest bytes (Base64urlUInt of RFC 7518, 2); coordinates
 * have all their bytes (RFC 7518, 6.2.1; RFC 8037, 2).
 */
typedef struct KmsPublicNumbers
{
	/* RSA; otherwise empty */
	unsigned char n[KMS_RSA_MAX_BLOCK]; /* modulus */
	size_t		n_len;
	unsigned char e[KMS_RSA_MAX_BLOCK]; /* public exponent */
	size_t		e_len;

	/* ECDH; otherwise 0 */
	unsigned char x[KMS_COORDINATE_SIZE];	/* or the key of X25519 */
	unsigned char y[KMS_COORDINATE_SIZE];	/* P-256 only */
} KmsPublicNumbers;

/*
 * Read the numbers from SPKI DER.  Fails as kms_key_pair_open_public does;
 * then all are empty or 0.
 */
extern KmsStatus kms_key_pair_public_numbers(KmsKeyOpener *opener,
											 KmsKeyType type,
											 const unsigned char *der, size_t len,
											 KmsPublicNumbers *numbers);

#endif							/* KMS_CRYPTO_KEY_PAIR_H */
